"""Which characters a text of a stranger may hold. The kinds are those of `parley.validation.v1.Text`."""

import re

from parley.validation.v1 import validation_pb2

from services.chassis.storable_text import REPLACEMENT, storable

ONE_LINE = validation_pb2.TEXT_UNSPECIFIED
"""The kind of a name, an id or a header."""

_SURROGATES = "\ud800-\udfff"
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
# Line and paragraph separators, and the characters that reorder what stands beside a text (CVE-2021-42574).
# The marks U+200E, U+200F and U+061C act on their neighbours only, and names in Arabic and Hebrew need them.
_BREAKS = "\t\n\r\u2028\u2029\u202a-\u202e\u2066-\u2069"

_FORBIDDEN = {
    ONE_LINE: re.compile(f"[{_CONTROLS}{_BREAKS}{_SURROGATES}]"),
    validation_pb2.TEXT_LINES: re.compile(f"[{_CONTROLS}{_SURROGATES}]"),
    validation_pb2.TEXT_VERBATIM: re.compile(f"[\x00{_SURROGATES}]"),
}


def cleaned(text: str) -> str:
    """Return lines of a stranger with U+FFFD for each character that TEXT_LINES does not allow."""
    return _FORBIDDEN[validation_pb2.TEXT_LINES].sub(REPLACEMENT, storable(text))


def problem_of(text: str, kind: "validation_pb2.Text.ValueType" = ONE_LINE) -> str | None:
    """Return what is wrong with the characters of `text`, None when nothing is."""
    found = _FORBIDDEN[kind].search(text)
    if found is None:
        return None
    return f"must not contain the character U+{ord(found[0]):04X} (at position {found.start() + 1})"
