"""Long texts cut in the middle, so that their beginning and their end are still read."""

from collections.abc import Sequence

_HEAD_SHARE = 2 / 3
_NOTE = "\n[… {left_out:,} of {total:,} characters are left out here …]\n"


def excerpt(text: str, most_bytes: int) -> str:
    """Return a text of about `most_bytes` UTF-8 bytes: its head, a note of how much is left out, and its tail."""
    size = len(text.encode())
    if size <= most_bytes:
        return text
    most = max(0, most_bytes - len(_NOTE.encode()) - 10)
    encoded = text.encode()
    head = encoded[: int(most * _HEAD_SHARE)].decode(errors="ignore")
    tail = encoded[size - (most - len(head.encode())) :].decode(errors="ignore")
    return head + _NOTE.format(left_out=len(text) - len(head) - len(tail), total=len(text)) + tail


def even_limit(sizes: Sequence[int], most: int) -> int:
    """Return the highest limit for each of `sizes` with which they sum up to at most `most`: the long ones pay."""
    left, many = most, len(sizes)
    for size in sorted(sizes):
        if size * many > left:
            return max(0, left // many)
        left -= size
        many -= 1
    return max(sizes, default=0)
