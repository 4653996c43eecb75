"""Texts as PostgreSQL, UTF-8 and protobuf can hold them."""

import re
from unicodedata import category

REPLACEMENT = "\ufffd"
# Letters, marks and symbols that show nothing: fillers, joiners, variation selectors, the empty pattern of Braille.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def storable(text: str) -> str:
    """Return `text` with halves of surrogate pairs joined, and U+FFFD for each NUL and each half that has no other."""
    if text.isascii():
        return text.replace("\x00", REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", REPLACEMENT)


def ends_in_half(text: str) -> bool:
    """Whether `text` ends with the first half of a surrogate pair, whose other half may follow."""
    return "\ud800" <= text[-1:] <= "\udbff"


def is_blank(text: str) -> bool:
    """Whether nothing can be seen of `text`: there are only spaces, controls and marks without width."""
    return all(
        character.isspace() or category(character) in ("Cc", "Cf") or _UNSEEN.match(character) for character in text
    )
