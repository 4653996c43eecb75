"""Undoes the percent-encoding of paths: how much of it is a choice for variables of many segments (`**`)."""

import re
from collections.abc import Callable
from urllib.parse import unquote, unquote_to_bytes

from adapters.rest.dialect import Unescape

Decode = Callable[[str], str]

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_KEPT = {Unescape.ALL_EXCEPT_RESERVED: b"!#$&'()*+,/:;=?@[]", Unescape.ALL_EXCEPT_SLASH: b"/"}
_ANY_SLASH = re.compile(r"/|%2F")


def has_bad_escape(raw_path: bytes) -> bool:
    """Return whether a path has a percent sign that starts no escape."""
    return b"%" in raw_path and _BAD_ESCAPE.search(raw_path) is not None


def is_utf8(raw_path: bytes) -> bool:
    """Return whether a path is a text once its percent-encoding is undone."""
    try:
        unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return False
    return True


def split_raw(raw_path: str, mode: Unescape) -> list[str]:
    """Return the segments, still encoded, of a path."""
    return _ANY_SLASH.split(raw_path[1:]) if mode is Unescape.ALL_CHARACTERS else raw_path[1:].split("/")


def decode_segment(text: str) -> str:
    """Return what a variable of one segment holds."""
    return unquote(text)


def deep_decoder(mode: Unescape) -> Decode:
    """Return what makes the value of a `**` of its encoded segments."""
    kept = _KEPT.get(mode, b"")

    def decode(text: str) -> str:
        def one(match: re.Match[bytes]) -> bytes:
            byte = bytes.fromhex(match[1].decode())
            return match[0] if byte in kept else byte

        return _ESCAPE.sub(one, text.encode()).decode("utf-8", "replace")

    return decode
