"""Parses and matches the path templates of google.api.http, as grpc-gateway reads them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WILDCARD, DEEP_WILDCARD = "*", "**"
Decode = Callable[[str], str]


class TemplateInvalid(ValueError):
    """The text is no path template."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A field that takes the segments `start` to `end` of the template."""

    field_path: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A parsed template: `segments` holds `*`, `**` (at most once) and literals."""

    text: str
    segments: tuple[str, ...]
    variables: tuple[Variable, ...]
    verb: str

    @property
    def deep_at(self) -> int:
        """The place of `**` among the segments, or -1."""
        return self.segments.index(DEEP_WILDCARD) if DEEP_WILDCARD in self.segments else -1

    def admits(self, count: int) -> bool:
        """Return whether a path of `count` segments can match."""
        return count == len(self.segments) if self.deep_at < 0 else count >= len(self.segments) - 1

    def match(
        self, path: Sequence[str], single: Decode | None = None, deep_value: Decode | None = None
    ) -> tuple[str, ...] | None:
        """Return the values of the variables in their order, or None when the path (without verb) does not match.

        When the path is still percent-encoded, `single` decodes a segment and `deep_value` what stands for `**`.
        """
        if not self.admits(len(path)):
            return None
        deep, extra = self.deep_at, len(path) - len(self.segments)
        for index, segment in enumerate(self.segments):
            if segment not in (WILDCARD, DEEP_WILDCARD):
                place = index + extra if 0 <= deep < index else index
                if path[place] != segment:
                    return None
        if single is None or deep_value is None:
            return tuple(
                "/".join(path[_shift(variable.start, deep, extra) : _shift(variable.end, deep, extra)])
                for variable in self.variables
            )
        values = [
            deep_value("/".join(path[index : index + extra + 1]))
            if index == deep
            else single(path[_shift(index, deep, extra)])
            if segment == WILDCARD
            else segment
            for index, segment in enumerate(self.segments)
        ]
        return tuple("/".join(_without_empty_deep(self, values, variable, extra)) for variable in self.variables)


def _without_empty_deep(template: PathTemplate, values: list[str], variable: Variable, extra: int) -> list[str]:
    # `a/**` without a segment for `**` is "a", not "a/".
    return [
        values[index] for index in range(variable.start, variable.end) if not (index == template.deep_at and extra < 0)
    ]


def _shift(bound: int, deep: int, extra: int) -> int:
    return bound + extra if 0 <= deep < bound else bound


def parse_template(text: str) -> PathTemplate:
    """Return the parsed template.

    Raises:
        TemplateInvalid: the text breaks the grammar of google/api/http.proto.
    """
    if not text.startswith("/"):
        raise TemplateInvalid(f"{text!r} does not start with /")
    body, verb = _split_verb(text[1:])
    segments: list[str] = []
    variables: list[Variable] = []
    while body or not segments:
        if body.startswith("{"):
            inside, closed, rest = body[1:].partition("}")
            if not closed:
                raise TemplateInvalid(f"{text!r} has an open brace")
            field_path, _, pattern = inside.partition("=")
            parts = [_segment(part, text) for part in (pattern or WILDCARD).split("/")]
            variables.append(Variable(_field_path(field_path, text), len(segments), len(segments) + len(parts)))
            segments.extend(parts)
        else:
            part, slash, rest = body.partition("/")
            segments.append(_segment(part, text) if text != "/" else "")
            rest = slash + rest
        if rest and (not rest.startswith("/") or rest == "/"):
            raise TemplateInvalid(f"{text!r} goes on with {rest!r} where a segment should start")
        body = rest[1:]
    _check(text, segments, variables)
    return PathTemplate(text, tuple(segments), tuple(variables), verb)


def _split_verb(text: str) -> tuple[str, str]:
    # After a variable the first colon starts the verb, otherwise the last one of the last segment.
    brace = text.rfind("}")
    tail_start = max(brace + 1, text.rfind("/") + 1)
    tail = text[tail_start:]
    at = tail.find(":") if brace + 1 == tail_start and brace >= 0 else tail.rfind(":")
    return (text, "") if at < 0 else (text[: tail_start + at], tail[at + 1 :])


def _segment(text: str, template: str) -> str:
    if not text or any(character in text for character in "{}=") or (WILDCARD in text and text not in ("*", "**")):
        raise TemplateInvalid(f"{template!r} has the segment {text!r}")
    return text


def _field_path(text: str, template: str) -> str:
    if not all(part.isidentifier() and part.isascii() for part in text.split(".")):
        raise TemplateInvalid(f"{template!r} names the field {text!r}")
    return text


def _check(text: str, segments: list[str], variables: list[Variable]) -> None:
    if segments.count(DEEP_WILDCARD) > 1:
        raise TemplateInvalid(f"{text!r} has ** more than once")
    if len({variable.field_path for variable in variables}) < len(variables):
        raise TemplateInvalid(f"{text!r} names a field twice")
