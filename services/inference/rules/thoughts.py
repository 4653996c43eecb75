"""What models think aloud between `<think>` and `</think>`, parted from what they say."""

import re

_OPENING = ("<think>", "<thinking>")
_CLOSING = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_OPEN = re.compile(r"(?<!`)<think(?:ing)?>", re.IGNORECASE)
_LEFT_OVER = re.compile(r"(?<!`)</think(?:ing)?>\s*", re.IGNORECASE)
_LONGEST_TAG = len("</thinking>")


class WithoutThoughts:
    """Takes an answer piece by piece, cut anywhere, and returns what of it is said.

    A tag that stands in backticks is named, not used. A thought that the answer begins with and that never ends is the
    whole answer; a tag further on that is never closed opened no thought.
    """

    def __init__(self) -> None:
        self._held = ""
        self._thought: list[str] | None = None
        self._has_said = False
        self._has_thought = False
        self._before = ""

    def feed(self, piece: str) -> str:
        """Return what is said for certain by now."""
        said = []
        self._held += piece
        while self._held:
            if self._thought is None:
                text, goes_on = self._speech()
                said.append(text)
            else:
                goes_on = self._think()
            if not goes_on:
                break
        return self._told("".join(said))

    def end(self) -> str:
        """Return what was held back and is said after all."""
        rest = self._held
        if self._thought is not None:
            rest = "".join(self._thought) + rest if self._has_said else ""
        self._held, self._thought = "", None
        return self._told(rest)

    def _told(self, said: str) -> str:
        self._has_said = self._has_said or bool(said.strip())
        return said

    def _speech(self) -> tuple[str, bool]:
        """Return what is said up to a thought; False when more has to come before more can be said."""
        if not self._has_said and self._has_thought:
            self._held = self._held.lstrip()
        found = _OPEN.search(self._before + self._held)
        if found is not None:
            at = found.start() - len(self._before)
            text, self._held = self._held[:at], self._held[at:]
            self._has_said = self._has_said or bool(text.strip())
            self._thought, self._before = [], ""
            return text, True
        keep = _beginning_of_tag(self._held)
        text = self._held[: len(self._held) - keep]
        self._held = self._held[len(text) :]
        self._before = text[-1:] or self._before
        return text, False

    def _think(self) -> bool:
        assert self._thought is not None  # noqa: S101 - only then it is called
        found = _CLOSING.search(self._held)
        if found is None:
            # The end of the tag may be cut; what is before it is thought for certain.
            self._thought.append(self._held[:-_LONGEST_TAG])
            self._held = self._held[-_LONGEST_TAG:]
            return False
        self._held, self._thought, self._has_thought = self._held[found.end() :], None, True
        return True


def without_thoughts(text: str) -> str:
    """Return what of a whole answer is said. A thought may have been opened by the prompt, and only end in it."""
    if "</think" not in text.lower():
        return text
    reader = WithoutThoughts()
    return _LEFT_OVER.split(reader.feed(text) + reader.end())[-1]


def _beginning_of_tag(text: str) -> int:
    """Return how many characters at the end of `text` may be the beginning of an opening tag."""
    lower = text.lower()
    lengths = range(min(len(text), len(_OPENING[1]) - 1), 0, -1)
    return next((size for size in lengths if any(tag.startswith(lower[-size:]) for tag in _OPENING)), 0)
