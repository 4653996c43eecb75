"""The tables of this service, as its migrations create them, and how their rows become dataclasses."""

import json
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Row, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.chassis.outbox import outbox_table
from services.operations.rules import (
    Action,
    DeadLetter,
    FailedMessage,
    Fire,
    LetterState,
    MissedRuns,
    Operation,
    OperationState,
    Schedule,
)

_METADATA = MetaData()
SCHEMA = "operations"
_TIME = DateTime(timezone=True)

DEAD_LETTER = Table(
    "dead_letter",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    *(Column(name, Text) for name in ("queue", "message_id", "failure_key", "actor", "payload", "arguments")),
    *(Column(name, Text) for name in ("options", "error", "traceback", "trace_id", "organization_id")),
    Column("attempts", Integer),
    Column("sent_at", _TIME),
    Column("failed_at", _TIME),
    Column("state", Text),
    Column("failures", Integer),
    Column("first_failed_at", _TIME),
    Column("version", Integer),
    Column("closed_at", _TIME),
    Column("closed_by", Text),
    schema=SCHEMA,
)
FAILURE = Table(
    "dead_letter_failure",
    _METADATA,
    Column("queue", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("failure_key", Text, primary_key=True),
    Column("failed_at", _TIME),
    schema=SCHEMA,
)
SCHEDULE = Table(
    "schedule",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    *(Column(name, Text) for name in ("name", "queue", "actor", "payload", "cron", "time_zone", "missed_runs")),
    Column("created_by", Text),
    Column("created_at", _TIME),
    Column("updated_at", _TIME),
    Column("once_at", _TIME),
    Column("catch_up_limit", Integer),
    Column("paused", Boolean),
    Column("next_at", _TIME),
    Column("version", Integer),
    Column("request_id", Uuid),
    schema=SCHEMA,
)
FIRE = Table(
    "schedule_fire",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("schedule_id", Uuid),
    Column("manual", Boolean),
    Column("due_at", _TIME),
    Column("fired_at", _TIME),
    Column("request_id", Uuid),
    schema=SCHEMA,
)
OPERATION = Table(
    "operation",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("request", JSONB),
    Column("state", Text),
    Column("total", Integer),
    Column("done", Integer),
    Column("cursor", Uuid),
    Column("cancel_requested", Boolean),
    Column("created_by", Text),
    Column("created_at", _TIME),
    Column("updated_at", _TIME),
    Column("ended_at", _TIME),
    Column("expire_at", _TIME),
    Column("error", Text),
    Column("request_id", Uuid),
    Column("fence", BigInteger),
    Column("lease_until", _TIME),
    schema=SCHEMA,
)
ACTION = Table(
    "action",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("verb", Text),
    Column("subject_kind", Text),
    Column("subject_id", Uuid),
    Column("actor_id", Text),
    Column("at", _TIME),
    Column("details", JSONB),
    schema=SCHEMA,
)
QUEUE = Table("queue", _METADATA, Column("name", Text, primary_key=True), schema=SCHEMA)
OUTBOX = outbox_table(_METADATA, SCHEMA)
EVENT_OUTBOX = outbox_table(_METADATA, SCHEMA, "event_outbox")


def message_of(row: Row[Any]) -> FailedMessage:
    """Return the message in a row of DEAD_LETTER."""
    return FailedMessage(
        queue=row.queue,
        message_id=row.message_id,
        failure_key=row.failure_key,
        actor=row.actor,
        payload=row.payload,
        arguments=tuple(json.loads(row.arguments)),
        options=json.loads(row.options),
        error=row.error,
        traceback=row.traceback,
        trace_id=row.trace_id,
        organization_id=row.organization_id,
        attempts=row.attempts,
        sent_at=row.sent_at,
        failed_at=row.failed_at,
    )


def letter_of(row: Row[Any]) -> DeadLetter:
    """Return the letter in a row of DEAD_LETTER."""
    return DeadLetter(
        letter_id=row.id,
        message=message_of(row),
        state=LetterState(row.state),
        failures=row.failures,
        first_failed_at=row.first_failed_at,
        version=row.version,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
    )


def stored_letter(letter: DeadLetter) -> dict[str, object]:
    """Return the values of a letter's row but for its id."""
    message = letter.message
    return {
        "queue": message.queue,
        "message_id": message.message_id,
        "failure_key": message.failure_key,
        "actor": message.actor,
        "payload": message.payload,
        # As text: JSONB takes neither every character nor every number that a message may hold.
        "arguments": json.dumps(message.arguments),
        "options": json.dumps(dict(message.options)),
        "error": message.error,
        "traceback": message.traceback,
        "trace_id": message.trace_id,
        "organization_id": message.organization_id,
        "attempts": message.attempts,
        "sent_at": message.sent_at,
        "failed_at": message.failed_at,
        "state": letter.state,
        "failures": letter.failures,
        "first_failed_at": letter.first_failed_at,
        "version": letter.version,
        "closed_at": letter.closed_at,
        "closed_by": letter.closed_by,
    }


def schedule_of(row: Row[Any]) -> Schedule:
    """Return the schedule in a row of SCHEDULE."""
    return Schedule(
        schedule_id=row.id,
        name=row.name,
        queue=row.queue,
        actor=row.actor,
        payload=row.payload,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        cron=row.cron,
        time_zone=row.time_zone,
        once_at=row.once_at,
        missed_runs=MissedRuns(row.missed_runs),
        catch_up_limit=row.catch_up_limit,
        paused=row.paused,
        next_at=row.next_at,
        version=row.version,
    )


def fire_of(row: Row[Any]) -> Fire:
    """Return the fire in a row of FIRE."""
    return Fire(row.id, row.schedule_id, row.manual, row.due_at, row.fired_at)


def operation_of(row: Row[Any]) -> Operation:
    """Return the operation in a row of OPERATION."""
    return Operation(
        operation_id=row.id,
        request=row.request,
        state=OperationState(row.state),
        total=row.total,
        done=row.done,
        cursor=row.cursor,
        cancel_requested=row.cancel_requested,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        ended_at=row.ended_at,
        expire_at=row.expire_at,
        error=row.error,
    )


def action_of(row: Row[Any]) -> Action:
    """Return the action in a row of ACTION."""
    return Action(row.id, row.verb, row.subject_kind, row.subject_id, row.actor_id, row.at, row.details)
