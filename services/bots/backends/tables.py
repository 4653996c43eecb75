"""The tables of this service, as its migrations create them, and how their rows become dataclasses."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.bots.rules import (
    Application,
    Bot,
    Change,
    Label,
    Prompt,
    PromptVersion,
    Variable,
    VariableType,
)

_METADATA = MetaData()
SCHEMA = "bots"
_TIME = DateTime(timezone=True)


def _kept(*columns: Column[Any]) -> tuple[Column[Any], ...]:
    """Add the columns that everything with an owner has."""
    return (
        Column("id", Uuid, primary_key=True),
        Column("owner", Text),
        Column("name", Text),
        *columns,
        Column("revision", Integer),
        Column("request_id", Uuid),
        Column("created_at", _TIME),
        Column("updated_at", _TIME),
    )


PROMPT = Table(
    "prompt", _METADATA, *_kept(Column("description", Text), Column("latest_version", Integer)), schema=SCHEMA
)
BOT = Table(
    "bot",
    _METADATA,
    *_kept(
        Column("description", Text),
        Column("model", Text),
        Column("max_output_tokens", Integer),
        Column("temperature", Float),
        Column("prompt_id", Uuid),
        Column("prompt_label", Text),
        Column("tool_ids", ARRAY(Uuid, as_tuple=True)),
    ),
    schema=SCHEMA,
)
APPLICATION = Table(
    "application",
    _METADATA,
    *_kept(Column("bot_id", Uuid), Column("disabled", Boolean)),
    schema=SCHEMA,
)
PROMPT_VERSION = Table(
    "prompt_version",
    _METADATA,
    Column("prompt_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("text", Text),
    Column("variables", JSONB),
    Column("note", Text),
    Column("author_id", Text),
    Column("request_id", Uuid),
    Column("created_at", _TIME),
    schema=SCHEMA,
)
PROMPT_LABEL = Table(
    "prompt_label",
    _METADATA,
    Column("prompt_id", Uuid, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer),
    Column("before", ARRAY(Integer, as_tuple=True)),
    Column("revision", Integer),
    Column("updated_at", _TIME),
    schema=SCHEMA,
)
CHANGE = Table(
    "change",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("owner", Text),
    Column("subject", Text),
    Column("subject_id", Uuid),
    Column("action", Text),
    Column("detail", Text),
    Column("user_id", Text),
    Column("at", _TIME),
    Column("stale", Text),
    schema=SCHEMA,
)


def bot_of(row: Row[Any]) -> Bot:
    """Return the bot in a row of BOT."""
    return Bot(row.id, **_columns(row, Bot, "bot_id"))


def application_of(row: Row[Any]) -> Application:
    """Return the application in a row of APPLICATION."""
    return Application(row.id, **_columns(row, Application, "application_id"))


def prompt_of(row: Row[Any]) -> Prompt:
    """Return the prompt in a row of PROMPT."""
    return Prompt(row.id, **_columns(row, Prompt, "prompt_id"))


def change_of(row: Row[Any]) -> Change:
    """Return the change in a row of CHANGE."""
    return Change(row.id, **_columns(row, Change, "change_id"))


def label_of(row: Row[Any]) -> Label:
    """Return the label in a row of PROMPT_LABEL."""
    return Label(**_columns(row, Label))


def version_of(row: Row[Any]) -> PromptVersion:
    """Return the version in a row of PROMPT_VERSION."""
    columns = _columns(row, PromptVersion)
    return PromptVersion(**{**columns, "variables": variables_of(row.variables)})


def variables_of(stored: list[dict[str, Any]]) -> tuple[Variable, ...]:
    """Return the variables that `stored_variables` made `stored` of."""
    return tuple(Variable(**{**one, "type": VariableType(one["type"])}) for one in stored)


def stored_variables(variables: tuple[Variable, ...]) -> list[dict[str, Any]]:
    """Return variables as they are stored."""
    return [{**asdict(one), "type": one.type.value} for one in variables]


def _columns(row: Row[Any], kind: type, id_field: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return {name: getattr(row, name) for name in fields if name != id_field}
