"""How two texts differ, line by line, as `diff -u` prints it; in bounded time.

The algorithm is Myers' with a deadline: difflib took three minutes for two texts of 20,000 short lines.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from fast_diff_match_patch import diff

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_SECONDS = 0.2
_SURROGATES = range(0xD800, 0xE000)
_CONTEXT = 3


def unified_diff(old: str, new: str, old_name: str, new_name: str) -> str:
    """Return the difference as hunks with three lines of context, empty when there is none.

    Lines end with a line feed: a carriage return before it, or no line feed after the last line, is a difference. After
    0.2 s what is left is shown as replaced as a whole.
    """
    before, after = _LINE.findall(old), _LINE.findall(new)
    if before == after:
        return ""
    lines = [f"--- {old_name}\n", f"+++ {new_name}\n"]
    matcher = SequenceMatcher(None, "", "")
    matcher.opcodes = list(_opcodes(before, after))  # type: ignore[attr-defined]  # its types leave it out
    for hunk in matcher.get_grouped_opcodes(_CONTEXT):
        lines.append(f"@@ -{_range(hunk[0][1], hunk[-1][2])} +{_range(hunk[0][3], hunk[-1][4])} @@\n")
        for tag, old_start, old_end, new_start, new_end in hunk:
            if tag == "equal":
                lines += [f" {line}" for line in before[old_start:old_end]]
            else:
                lines += [f"-{line}" for line in before[old_start:old_end]]
                lines += [f"+{line}" for line in after[new_start:new_end]]
    ended = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return "".join(ended).removesuffix("\n")


def _opcodes(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield difflib's operations."""
    characters: dict[str, str] = {}
    encoded = (
        "".join(characters.setdefault(line, _character(len(characters))) for line in text) for text in (before, after)
    )
    old = new = removed = added = 0
    for operation, count in [*diff(*encoded, timelimit=_SECONDS, checklines=False, cleanup="No"), ("=", 0)]:
        if operation == "-":
            removed += count
        elif operation == "+":
            added += count
        else:
            if removed or added:
                yield "replace", old, old + removed, new, new + added
            old, new, removed, added = old + removed, new + added, 0, 0
            if count:
                yield "equal", old, old + count, new, new + count
            old, new = old + count, new + count


def _character(number: int) -> str:
    """Return a character of its own for each line, since the library compares texts by character."""
    return chr(number + 1 if number + 1 < _SURROGATES.start else number + 1 + len(_SURROGATES))


def _range(start: int, end: int) -> str:
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
