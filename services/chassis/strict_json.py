"""Reads JSON that strangers wrote: models, tools, users' documents.

RFC 8259, and no more than other programs agree on: no NaN or Infinity, no key twice, no half surrogate pairs, numbers
and nesting that every reader takes. What is read can be written as JSON and as UTF-8 again.
"""

import json
import math
import re
from typing import Any

MAX_DEPTH = 100
MAX_NUMBER_LENGTH = 100
# Possessive: a string is passed over once, also one that nobody closed.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


class JsonRefused(ValueError):
    """The text is not JSON, or not of the kind that is read. `str()` says why, to follow the name of a field."""


def read_json(text: str | bytes, *, max_depth: int = MAX_DEPTH, nul: bool = False) -> Any:
    """Return what a JSON text holds. Its size is the caller's to bound; the time is linear in it.

    `nul` lets strings hold the character NUL, which PostgreSQL and many programs do not take.

    Raises:
        JsonRefused: it cannot be read. Nothing else is raised, whatever the text.
    """
    if isinstance(text, bytes):
        text = _decoded(text)
    _check_depth(text, max_depth)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JsonRefused(f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise JsonRefused("is nested too deep") from None
    if "\\u" in text or not text.isascii() or "\0" in text:
        _check_strings(value, nul=nul)
    return value


def write_json(value: Any) -> str:
    """Return a value as compact JSON with its letters as they are. Raises JsonRefused for what JSON cannot hold."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError, RecursionError):
        raise JsonRefused("cannot be written as JSON") from None
    return text


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise JsonRefused("is not UTF-8") from None


def _check_depth(text: str, most: int) -> None:
    # Nearly all texts have fewer brackets than that, and are not looked at any further.
    if text.count("[") + text.count("{") <= most:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > most:
            raise JsonRefused(f"is nested more than {most} levels deep")


def _check_strings(value: Any, *, nul: bool) -> None:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            _check_string(one, nul=nul)
        elif isinstance(one, list):
            left.extend(one)
        elif isinstance(one, dict):
            left.extend(one)
            left.extend(one.values())


def _check_string(text: str, *, nul: bool) -> None:
    if "\0" in text and not nul:
        raise JsonRefused("has the character NUL in a string")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise JsonRefused("has half of a surrogate pair in a string") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise JsonRefused(f"has the key {twice[:100]!a} twice in one object")
    return found


def _integer(digits: str) -> int:
    _check_length(digits)
    return int(digits)


def _float(digits: str) -> float:
    _check_length(digits)
    value = float(digits)
    if math.isinf(value):
        raise JsonRefused(f"has a number that is too large: {digits}")
    return value


def _check_length(digits: str) -> None:
    if len(digits) > MAX_NUMBER_LENGTH:
        raise JsonRefused(f"has a number of more than {MAX_NUMBER_LENGTH} characters")


def _constant(name: str) -> Any:
    raise JsonRefused(f"is not JSON: {name} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
