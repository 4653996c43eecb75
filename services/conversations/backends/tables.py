"""The tables of this service, as its migrations create them, and how their rows become dataclasses."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, Row, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.chassis.data_keys import Seal
from services.chassis.outbox import outbox_table
from services.chassis.storable_text import storable
from services.conversations.ports import Asker
from services.conversations.rules import (
    Answerer,
    CallState,
    Context,
    Conversation,
    Message,
    Metadata,
    Round,
    Run,
    RunState,
    ToolCall,
)

_METADATA = MetaData()
SCHEMA = "conversations"

_TIME = DateTime(timezone=True)

CONVERSATION = Table(
    "conversation",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", Text),
    Column("organization_id", Text),
    Column("title", Text),
    Column("context", JSONB),
    Column("request_id", Uuid),
    Column("last_sequence", Integer),
    Column("fence", Integer),
    Column("lease_until", _TIME),
    Column("nudged_at", _TIME),
    Column("data_key", Text),
    Column("active_message_id", Uuid),
    Column("bot_id", Uuid),
    Column("application_id", Uuid),
    Column("prompt_variables", JSONB),
    Column("created_at", _TIME),
    Column("updated_at", _TIME),
    schema=SCHEMA,
)
RUN = Table(
    "run",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid),
    Column("ordinal", Integer),
    Column("message_id", Uuid),
    Column("output_message_id", Uuid),
    Column("state", Text),
    Column("attempt", Integer),
    Column("cancel_requested", Boolean),
    Column("error_reason", Text),
    Column("error_message", Text),
    Column("created_at", _TIME),
    Column("started_at", _TIME),
    Column("ended_at", _TIME),
    Column("request_id", Uuid),
    Column("tool_required", Boolean),
    schema=SCHEMA,
)
RUN_ROUND = Table(
    "run_round",
    _METADATA,
    Column("run_id", Uuid, primary_key=True),
    Column("depth", Integer, primary_key=True),
    Column("text", Text),
    Column("metadata", JSONB(none_as_null=True)),
    Column("calls", JSONB(none_as_null=True)),
    Column("asked_at", _TIME),
    schema=SCHEMA,
)
MESSAGE = Table(
    "message",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid),
    Column("sequence", Integer),
    Column("role", Text),
    Column("text", Text),
    Column("run_id", Uuid),
    Column("metadata", JSONB(none_as_null=True)),
    Column("request_id", Uuid),
    Column("created_at", _TIME),
    Column("parent_id", Uuid),
    schema=SCHEMA,
)
OUTBOX = outbox_table(_METADATA, SCHEMA)
EVENT_OUTBOX = outbox_table(_METADATA, SCHEMA, "event_outbox")


def about_message(message_id: object) -> str:
    """Return what a message's sealed text is bound to, beside its conversation."""
    return f"message/{message_id}"


def conversation_of(row: Row[Any]) -> Conversation:
    """Return the conversation in a row of CONVERSATION."""
    return Conversation(
        conversation_id=row.id,
        title=row.title,
        context=context_of(row.context),
        message_count=row.last_sequence,
        created_at=row.created_at,
        updated_at=row.updated_at,
        private=row.data_key is not None,
        active_message_id=row.active_message_id,
        answerer=answerer_of(row),
    )


def answerer_of(row: Any) -> Answerer:
    """Return who answers in the conversation of a row."""
    return Answerer(row.bot_id, row.application_id, row.prompt_variables)


def asker_of(row: Any) -> Asker:
    """Return for whom the conversation of a row is answered."""
    return Asker(row.owner_id, row.organization_id or "", answerer_of(row), row.data_key is not None)


def context_of(stored: dict[str, Any]) -> Context:
    """Return the context that `stored_context` made `stored` of."""
    return Context(**{**stored, "learning_goals": tuple(stored.get("learning_goals", ()))})


def stored_context(context: Context) -> dict[str, Any]:
    """Return a context as it is stored: without what is empty."""
    return {name: value for name, value in asdict(context).items() if value}


def message_of(row: Row[Any], seal: Seal | None) -> Message:
    """Return the message in a row of MESSAGE, opened with its conversation's seal. Raises Undecipherable."""
    return Message(
        message_id=row.id,
        conversation_id=row.conversation_id,
        sequence=row.sequence,
        role=row.role,
        text=row.text if seal is None else seal.open(row.text, about_message(row.id)),
        run_id=row.run_id,
        metadata=None if row.metadata is None else Metadata(**row.metadata),
        created_at=row.created_at,
        parent_id=row.parent_id,
    )


def run_of(row: Row[Any]) -> Run:
    """Return the run in a row of RUN."""
    return Run(
        run_id=row.id,
        conversation_id=row.conversation_id,
        ordinal=row.ordinal,
        message_id=row.message_id,
        state=RunState(row.state),
        attempt=row.attempt,
        cancel_requested=row.cancel_requested,
        output_message_id=row.output_message_id,
        error_reason=row.error_reason,
        error_message=row.error_message,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        tool_required=row.tool_required,
    )


def round_of(row: Row[Any]) -> Round:
    """Return the round in a row of RUN_ROUND."""
    return Round(row.depth, row.text, Metadata(**row.metadata), tuple(map(_call_of, row.calls)), row.asked_at)


def _call_of(stored: dict[str, Any]) -> ToolCall:
    tool_id = None if stored["tool_id"] is None else UUID(stored["tool_id"])
    return ToolCall(
        UUID(stored["call_id"]),
        stored["key"],
        stored["name"],
        stored["arguments"],
        tool_id,
        CallState(stored["state"]),
        stored["result"],
    )


def stored_call(call: ToolCall) -> dict[str, Any]:
    """Return a call of a round as it is stored. PostgreSQL stores no NUL in a text, and a tool may answer anything."""
    return {
        "call_id": str(call.call_id),
        "key": storable(call.key),
        "name": storable(call.name),
        "arguments": storable(call.arguments),
        "tool_id": None if call.tool_id is None else str(call.tool_id),
        "state": call.state.value,
        "result": storable(call.result),
    }
