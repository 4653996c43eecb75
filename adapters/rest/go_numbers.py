"""Reads numbers out of texts as Go's strconv does for grpc-gateway."""

import base64
import binascii
import re

_INTEGER = re.compile(r"[+-]?[0-9]+")
_UNSIGNED = re.compile(r"[0-9]+")
_LONGEST_INTEGER = 20
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_DECIMAL_FLOAT = re.compile(rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_HEX = r"[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
_HEX_FLOAT = re.compile(rf"[+-]?0[xX](?:_?{_HEX}(?:\.(?:{_HEX})?)?|\.{_HEX})[pP][+-]?{_DIGITS}")
_NOT_FINITE = re.compile(r"[+-]?(?:inf|infinity)|nan", re.IGNORECASE)


class OutOfRange(ValueError):
    """The text is a number, but too large."""


def parse_integer(text: str, low: int, high: int) -> int:
    """Return the decimal integer of a text, as ParseInt or (when `low` is 0) ParseUint does.

    Raises:
        OutOfRange: it does not fit.
        ValueError: it is no integer.
    """
    if not (_UNSIGNED if low == 0 else _INTEGER).fullmatch(text):
        raise ValueError(text)
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > _LONGEST_INTEGER:
        raise OutOfRange(text)
    number = int(digits or "0")
    if text[0] == "-":
        number = -number
    if not low <= number <= high:
        raise OutOfRange(text)
    return number


def parse_float(text: str) -> float:
    """Return the number of a text: decimal or hexadecimal, with underscores between digits, infinite or NaN.

    Raises:
        OutOfRange: it is too large for a double.
        ValueError: it is no number.
    """
    if _NOT_FINITE.fullmatch(text):
        return float(text)
    plain = text.replace("_", "")
    if _DECIMAL_FLOAT.fullmatch(text):
        number = float(plain)
    elif _HEX_FLOAT.fullmatch(text):
        try:
            number = float.fromhex(plain)
        except OverflowError:
            raise OutOfRange(text) from None
    else:
        raise ValueError(text)
    if number in (float("inf"), float("-inf")):
        raise OutOfRange(text)
    return number


def decode_base64(text: str, *, url_safe: bool, padded: bool = True) -> bytes:
    """Return the bytes of a base64 text of one alphabet. Line breaks are ignored, as encoding/base64 does.

    Raises:
        ValueError: it is no such text.
    """
    plain = text.replace("\n", "").replace("\r", "")
    if any(character in plain for character in ("+/" if url_safe else "-_")):
        raise ValueError(text)
    if url_safe:
        plain = plain.replace("-", "+").replace("_", "/")
    if not padded:
        if "=" in plain:
            raise ValueError(text)
        plain += "=" * (-len(plain) % 4)
    try:
        return base64.b64decode(plain, validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
