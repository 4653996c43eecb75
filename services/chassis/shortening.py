"""Texts cut where people see them end."""

import regex

_CLUSTER = regex.compile(r"\X")


def shortened(text: str, most: int) -> str:
    """Return the longest beginning of at most `most` characters that ends between two grapheme clusters (UAX #29).

    An emoji of several characters, or a letter with its marks, stays whole or is left out; only one that is longer than
    `most` by itself is cut.
    """
    if len(text) <= most:
        return text
    end = 0
    for cluster in _CLUSTER.finditer(text, 0, most + 1):
        if cluster.end() > most:
            break
        end = cluster.end()
    # Whether the last cluster ends at `most` is told by the character after it, which the search has seen.
    return text[: end or most]
