"""The action log in PostgreSQL; a trigger keeps what is in it, and everybody who listens is told of it."""

from dataclasses import dataclass
from uuid import UUID

from parley.events.v1.log_event_pb2 import LogEvent
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.events.topics import LOG_EVENT, payload_of
from services.chassis.interceptors import request_id
from services.chassis.outbox import Outbox
from services.operations.backends.tables import ACTION, action_of
from services.operations.rules import Action

_SERVICE = "operations"
_OK = "OK"


@dataclass(frozen=True, slots=True)
class PostgresActionLog:
    """Implements the port ActionLog on one connection. What is told commits with what was written."""

    connection: AsyncConnection
    events: Outbox

    async def add(self, *actions: Action) -> None:
        """See the port."""
        if actions:
            await self.connection.execute(insert(ACTION), [_row(action) for action in actions])
            await self.events.add_all(
                self.connection,
                [(LOG_EVENT, str(action.subject_id), payload_of(_said(action))) for action in actions],
            )

    async def page(self, subject_id: UUID | None, before: UUID | None, size: int) -> list[Action]:
        """See the port."""
        statement = select(ACTION)
        if subject_id is not None:
            statement = statement.where(ACTION.c.subject_id == subject_id)
        if before is not None:
            statement = statement.where(ACTION.c.id < before)
        rows = await self.connection.execute(statement.order_by(ACTION.c.id.desc()).limit(size))
        return [action_of(row) for row in rows]


def _row(action: Action) -> dict[str, object]:
    return {
        "id": action.action_id,
        "verb": action.verb,
        "subject_kind": action.subject_kind,
        "subject_id": action.subject_id,
        "actor_id": action.actor_id,
        "at": action.at,
        "details": dict(action.details),
    }


def _said(action: Action) -> LogEvent:
    # Not the details: an edited payload may hold texts of people. Who may read the log finds them there.
    said = LogEvent(
        service=_SERVICE,
        log_id=str(action.action_id),
        action=f"{action.subject_kind}.{action.verb}",
        actor_id=action.actor_id,
        subject_id=str(action.subject_id),
        outcome=_OK,
        request_id=request_id.current.get(),
    )
    said.create_time.FromDatetime(action.at)
    return said
