"""What models think aloud between `<think>` and `</think>`, parted from what they say."""

import re

_NAME = r"(?:seed:)?think(?:ing)?"
_OPEN = rf"<{_NAME}(?:\s+\w+=[^<>\[]{{0,100}}|\s?)>|(?-i:\[THINK\])"
_CLOSING = re.compile(rf"</{_NAME}\s?>|(?-i:\[/THINK\])", re.IGNORECASE)
_TAG = re.compile(rf"(?P<open>{_OPEN})|{_CLOSING.pattern}", re.IGNORECASE)
_BEGUN = re.compile(rf"</?{_NAME}(?:\s[^<>\[]{{0,100}})?", re.IGNORECASE)
_TAGS = ("<think>", "<thinking>", "<seed:think>", "</think>", "</thinking>", "</seed:think>", "[think]", "[/think]")
_LONGEST_TAG = 130
_STEP_CHARACTERS = 4096


class WithoutThoughts:
    """Takes an answer piece by piece, cut anywhere, and returns what of it is said.

    A tag that stands in backticks, or between lines of them, is named, not used. A thought that the answer begins with
    and that never ends is the whole answer; a tag further on that is never closed opened no thought. A thought that was
    opened by the prompt only ends in the answer: see `takes_back`.
    """

    def __init__(self) -> None:
        self._held = ""
        self._thought: list[str] | None = None
        self._has_said = False
        self._has_thought = False
        self._has_told = False
        self._takes_back = False
        self._backticks = 0

    def feed(self, piece: str) -> str:
        """Return what is said for certain by now."""
        said: list[str] = []
        for at in range(0, len(piece), _STEP_CHARACTERS):  # what is held is copied with every tag
            self._held += piece[at : at + _STEP_CHARACTERS]
            while self._held:
                goes_on = self._speak(said) if self._thought is None else self._think()
                if not goes_on:
                    break
        told = "".join(said)
        self._has_told = self._has_told or bool(told)
        return told

    def takes_back(self) -> bool:
        """Whether all that was returned before the last `feed` was thought."""
        takes_back, self._takes_back = self._takes_back, False
        return takes_back

    def end(self) -> str:
        """Return what was held back and is said after all."""
        rest = self._held
        if self._thought is not None:
            rest = "".join(self._thought) + rest if self._has_said else ""
        self._held, self._thought = "", None
        return rest

    def _speak(self, said: list[str]) -> bool:
        """Append what is said up to a thought; return False when more has to come before more can be said."""
        if not self._has_said and self._has_thought:
            self._held = self._held.lstrip()
        tag = self._next_tag()
        if tag is None:
            self._say(self._held[: len(self._held) - _beginning_of_tag(self._held)], said)
            return False
        if tag["open"]:
            self._say(self._held[: tag.start()], said)
            self._thought = []
            return True
        self._takes_back, self._has_told = self._takes_back or self._has_told, False
        said.clear()
        self._held, self._has_said, self._has_thought, self._backticks = self._held[tag.end() :], False, True, 0
        return True

    def _next_tag(self) -> re.Match[str] | None:
        """Return the first tag that is used: an end without a beginning only before anything else was said."""
        backticks, at = self._backticks, 0
        for tag in _TAG.finditer(self._held):
            backticks += self._held.count("`", at, tag.start())
            at = tag.start()
            is_first = not self._has_thought or not (self._has_said or self._held[: tag.start()].strip())
            if backticks % 2 == 0 and (tag["open"] or is_first):
                return tag
        return None

    def _say(self, text: str, said: list[str]) -> None:
        said.append(text)
        self._held = self._held[len(text) :]
        self._backticks += text.count("`")
        self._has_said = self._has_said or bool(text.strip())

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
    """Return what of a whole answer is said."""
    if not _CLOSING.search(text):
        return text
    reader = WithoutThoughts()
    return reader.feed(text) + reader.end()


def _beginning_of_tag(text: str) -> int:
    """Return how many characters at the end of `text` may be the beginning of a tag."""
    rest = text[max(text.rfind("<"), text.rfind("[")) :]
    if rest[:1] not in ("<", "[") or len(rest) > _LONGEST_TAG:
        return 0
    lower = rest.lower()
    return len(rest) if any(tag.startswith(lower) for tag in _TAGS) or _BEGUN.fullmatch(rest) else 0
