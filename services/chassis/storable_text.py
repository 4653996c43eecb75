"""Texts as PostgreSQL, UTF-8 and protobuf can hold them."""

from unicodedata import category

REPLACEMENT = "\ufffd"


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
    return all(character.isspace() or category(character) in ("Cc", "Cf") for character in text)
