"""Words errors as Go's standard library does, for clients that read grpc-gateway's messages."""

import string

_BASE64 = frozenset(string.ascii_letters + string.digits + "+/")
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\v": "\\v",
}


def quoted(text: str) -> str:
    """Return a text as Go's %q prints it."""
    return '"' + "".join(map(_printable, text)) + '"'


def bad_number(function: str, text: str, *, out_of_range: bool = False) -> str:
    """Return strconv's error for a number."""
    return f"strconv.{function}: parsing {quoted(text)}: {'value out of range' if out_of_range else 'invalid syntax'}"


def corrupt_base64(text: str) -> str:
    """Return encoding/base64's error for a text that is not base64."""
    at = next((index for index, character in enumerate(text) if character not in _BASE64), len(text))
    return f"illegal base64 data at input byte {at}"


def bad_time(text: str) -> str:
    """Return time.Parse's error for a text that does not start as RFC 3339 does; later places are not looked for."""
    layout = "2006-01-02T15:04:05.999999999Z07:00"
    return f'parsing time {quoted(text)} as "{layout}": cannot parse {quoted(text)} as "2006"'


def _printable(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
