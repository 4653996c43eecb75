"""Says why a text is not JSON in the words of Go's encoding/json. It runs only after a text was refused."""

import re

from adapters.rest.go_texts import quoted

_SPACE = re.compile(r"[ \t\r\n]*")
_HEX = "0123456789abcdefABCDEF"
_EOF = "unexpected EOF"
# Looking at each character takes more than a microsecond, and nobody else is served meanwhile.
_MOST_BYTES = 131_072


class _Found(Exception):
    """The first wrong character."""


def syntax_error(data: bytes) -> str:
    """Return the error for the first JSON value of a text, or nothing when encoding/json finds none.

    A long text is not looked at.
    """
    if len(data) > _MOST_BYTES:
        return ""
    try:
        _Scanner(data.decode("utf-8", "replace")).value()
    except _Found as found:
        return str(found)
    except RecursionError:
        return "exceeded max depth"
    return ""


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def value(self) -> None:
        self._skip()
        character = self._peek()
        if character == "{":
            self._object()
        elif character == "[":
            self._array()
        elif character == '"':
            self._string()
        elif character == "-" or character.isdecimal():
            self._number()
        elif word := {"t": "true", "f": "false", "n": "null"}.get(character):
            self._literal(word)
        else:
            self._fail("looking for beginning of value")

    def _object(self) -> None:
        self._at += 1
        self._skip()
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            self._skip()
            if self._peek() != '"':
                self._fail("looking for beginning of object key string")
            self._string()
            self._skip()
            self._expect(":", "after object key")
            self.value()
            if self._ends("}", "after object key:value pair"):
                return

    def _array(self) -> None:
        self._at += 1
        self._skip()
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            self.value()
            if self._ends("]", "after array element"):
                return

    def _ends(self, closing: str, context: str) -> bool:
        self._skip()
        if self._peek() not in (",", closing):
            self._fail(context)
        self._at += 1
        return self._text[self._at - 1] == closing

    def _string(self) -> None:
        self._at += 1
        while (character := self._peek()) != '"':
            if character < " ":
                self._fail("in string literal")
            self._at += 1
            if character == "\\":
                escape = self._peek()
                if escape not in '"\\/bfnrtu':
                    self._fail("in string escape code")
                self._at += 1
                for _ in range(4 if escape == "u" else 0):
                    if self._peek() not in _HEX:
                        self._fail("in \\u hexadecimal character escape")
                    self._at += 1
        self._at += 1

    def _number(self) -> None:
        if self._peek() == "-":
            self._at += 1
            if not self._peek().isdecimal():
                self._fail("in numeric literal")
        if self._peek() == "0":
            self._at += 1
        else:
            self._digits("in numeric literal")
        if self._here(".") and self._step():
            self._digits("after decimal point in numeric literal")
        if self._here("eE") and self._step():
            if self._here("+-"):
                self._at += 1
            self._digits("in exponent of numeric literal")

    def _digits(self, context: str) -> None:
        if not self._peek().isdecimal():
            self._fail(context)
        while self._here("0123456789"):
            self._at += 1

    def _literal(self, word: str) -> None:
        for expected in word:
            self._expect(expected, f"in literal {word} (expecting {quoted_character(expected)})")

    def _here(self, characters: str) -> bool:
        return self._at < len(self._text) and self._text[self._at] in characters

    def _step(self) -> bool:
        self._at += 1
        return True

    def _expect(self, character: str, context: str) -> None:
        if self._peek() != character:
            self._fail(context)
        self._at += 1

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _peek(self) -> str:
        if self._at >= len(self._text):
            raise _Found(_EOF)
        return self._text[self._at]

    def _fail(self, context: str) -> None:
        raise _Found(f"invalid character {quoted_character(self._text[self._at])} {context}")


def quoted_character(character: str) -> str:
    """Return a character as encoding/json shows it."""
    if character == "'":
        return r"'\''"
    return "'\"'" if character == '"' else f"'{quoted(character)[1:-1]}'"
