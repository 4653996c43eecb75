"""What bots, applications and prompts are, and the decisions about them. Pure: times and ids come in as arguments."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import TypeVar
from uuid import UUID

from services.bots.errors import (
    FieldNotUpdatable,
    NothingToRollBack,
    RenderedTooLong,
    TemplateInvalid,
    VariableInvalid,
    VariableMissing,
    VariableUnknown,
)
from services.chassis.line_diff import unified_diff

DEFAULT_LABEL = "production"
# As in Handlebars: braces around anything else than a name are text, and \{{name}} is the text {{name}}.
# A run of backslashes is looked at once, from its beginning: any other way takes time by the square of its length.
_PLACEHOLDER = re.compile(r"(?<!\\)(\\*+)\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
# A number as JSON writes it.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MOST_REMEMBERED_MOVES = 100
_MOST_RENDERED = 1_000_000


class VariableType(Enum):
    """What a variable holds; the values are what is stored."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a prompt. Without a default, a value must be given."""

    name: str
    type: VariableType = VariableType.STRING
    default: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Bot:
    """Somebody to talk to. `revision` counts its changes from 1."""

    bot_id: UUID
    name: str
    description: str = ""
    model: str = ""
    max_output_tokens: int = 0
    temperature: float | None = None
    prompt_id: UUID | None = None
    prompt_label: str = DEFAULT_LABEL
    tool_ids: tuple[UUID, ...] = ()
    revision: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """A place where a bot answers; nobody is answered while it is disabled."""

    application_id: UUID
    name: str
    bot_id: UUID
    disabled: bool = False
    revision: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text that models are told, in versions."""

    prompt_id: UUID
    name: str
    description: str = ""
    latest_version: int = 0
    revision: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One version of a prompt. It never changes."""

    prompt_id: UUID
    number: int
    text: str
    variables: tuple[Variable, ...]
    note: str
    author_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Label:
    """A name for a version. `before` holds the versions that had it earlier, the last one at the end."""

    name: str
    version: int
    before: tuple[int, ...] = ()
    revision: int = 1
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Who changed what, and when. `subject` is bot, application or prompt."""

    change_id: UUID
    subject: str
    subject_id: UUID
    action: str
    detail: str
    user_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Resolved:
    """A bot as it answers now; the version is 0 when it has no prompt."""

    bot: Bot
    prompt: str
    prompt_version: int


_R = TypeVar("_R", Bot, Application, Prompt)


BOT_FIELDS = {
    "name": "name",
    "description": "description",
    "model": "model",
    "parameters.max_output_tokens": "max_output_tokens",
    "parameters.temperature": "temperature",
    "prompt_id": "prompt_id",
    "prompt_label": "prompt_label",
    "tool_ids": "tool_ids",
}
"""The paths of an update mask for a bot, and the fields that they change."""
APPLICATION_FIELDS = {name: name for name in ("name", "bot_id", "disabled")}
PROMPT_FIELDS = {name: name for name in ("name", "description")}


def updated(kept: _R, wanted: _R, paths: Iterable[str], fields: Mapping[str, str]) -> tuple[_R, list[str]]:
    """Return `kept` with the fields that the mask names taken from `wanted`, and the paths that differ.

    A path may name a whole message (`parameters`). An empty mask means every field of `wanted` that is not empty.

    Raises:
        FieldNotUpdatable: a path names a field that does not exist or is the server's.
    """
    asked = list(paths)
    chosen: list[str] = []
    for path in asked:
        below = [name for name in fields if name == path or name.startswith(f"{path}.")]
        if not below:
            raise FieldNotUpdatable(field=path)
        chosen += below
    if not asked:
        chosen = [path for path, name in fields.items() if getattr(wanted, name)]
    changed = [path for path in chosen if getattr(kept, fields[path]) != getattr(wanted, fields[path])]
    return replace(kept, **{fields[path]: getattr(wanted, fields[path]) for path in changed}), changed


def is_repeat(found: _R, made: _R, fields: Mapping[str, str]) -> bool:
    """Whether the request that would make `made` may have made `found`; what was changed since cannot tell."""
    return found.revision > 1 or all(getattr(found, name) == getattr(made, name) for name in fields.values())


def check_template(text: str, variables: Sequence[Variable]) -> None:
    """Raise TemplateInvalid when a text cannot be rendered whatever is given, or a declaration makes no sense."""
    names = [variable.name for variable in variables]
    for name in names:
        if names.count(name) > 1:
            raise TemplateInvalid(cause=f"the variable {name} is declared twice")
    for match in _PLACEHOLDER.finditer(text):
        name = match[2]
        if name not in names and not _is_escaped(match):
            raise TemplateInvalid(
                cause=f"the variable {name} is not declared; write \\{{{{{name}}}}} for the text itself"
            )
    for variable in variables:
        if variable.default is not None and not _is_of_type(variable.default, variable.type):
            raise TemplateInvalid(cause=f"the default of {variable.name} must be of type {variable.type.value}")


def render(text: str, variables: Sequence[Variable], values: Mapping[str, str], *, ignore_unknown: bool = False) -> str:
    """Return a text with values in the place of its variables. What stands in a value is never rendered again.

    Raises:
        VariableUnknown, VariableInvalid, VariableMissing: the values do not fit the variables.
        RenderedTooLong: it would have more than 1,000,000 characters.
    """
    known = {variable.name: variable for variable in variables}
    for name in values:
        if name not in known and not ignore_unknown:
            raise VariableUnknown(variable=name)
    filled: dict[str, str] = {}
    for name, variable in known.items():
        value = values.get(name, variable.default)
        if value is None:
            raise VariableMissing(variable=name)
        # A default was checked when it was declared.
        if name in values and not _is_of_type(value, variable.type):
            raise VariableInvalid(variable=name, type=variable.type.value)
        filled[name] = value
    # Counted first: 20,000 places for a value of 10,000 characters would take 200 MB.
    length = len(text) + sum(len(filled[one[2]]) for one in _PLACEHOLDER.finditer(text) if not _is_escaped(one))
    if length > _MOST_RENDERED:
        raise RenderedTooLong(most=_MOST_RENDERED)
    return _PLACEHOLDER.sub(lambda match: _filled(match, filled), text)


def _is_escaped(match: re.Match[str]) -> bool:
    return len(match[1]) % 2 == 1


def _filled(match: re.Match[str], values: Mapping[str, str]) -> str:
    backslashes = match[1][: len(match[1]) // 2]
    if _is_escaped(match):
        return backslashes + match[0][len(match[1]) :]
    return backslashes + values[match[2]]


def _is_of_type(value: str, kind: VariableType) -> bool:
    match kind:
        case VariableType.INTEGER:
            return re.fullmatch(r"-?[0-9]{1,18}", value) is not None
        case VariableType.NUMBER:
            return _is_number(value)
        case VariableType.BOOLEAN:
            return value in ("true", "false")
        case _:
            return True


def _is_number(value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None and math.isfinite(float(value))


@dataclass(frozen=True, slots=True)
class Difference:
    """How two versions of a prompt differ."""

    text: str
    variables: list[str] = field(default_factory=list)


def difference(old: PromptVersion, new: PromptVersion) -> Difference:
    """Return how two versions differ: the texts as `diff -u` prints it, the variables line by line."""
    text = unified_diff(old.text, new.text, f"version {old.number}", f"version {new.number}")
    before, after = _described(old), _described(new)
    gone = [f"- {line}" for line in before if line not in after]
    return Difference(text, gone + [f"+ {line}" for line in after if line not in before])


def _described(version: PromptVersion) -> list[str]:
    return [
        f"{one.name}: {one.type.value}" + ("" if one.default is None else f" = {one.default}")
        for one in version.variables
    ]


def moved(label: Label, version: int, at: datetime) -> Label:
    """Return a label moved to a version, remembering where it was."""
    before = (*label.before, label.version)[-_MOST_REMEMBERED_MOVES:]
    return Label(label.name, version, before, label.revision + 1, at)


def rolled_back(label: Label, at: datetime) -> Label:
    """Return a label on the version that had it before. Raises NothingToRollBack."""
    if not label.before:
        raise NothingToRollBack(label=label.name)
    return Label(label.name, label.before[-1], label.before[:-1], label.revision + 1, at)


def bot_key(bot_id: UUID) -> str:
    """Return under which key a bot is cached."""
    return f"bot:{bot_id}"


def application_key(application_id: UUID) -> str:
    """Return under which key an application is cached."""
    return f"application:{application_id}"


def prompt_key(prompt_id: UUID, label: str) -> str:
    """Return under which key the version that has a label is cached."""
    return f"prompt:{prompt_id}:{label}"
