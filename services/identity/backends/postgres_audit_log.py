"""Audit events in PostgreSQL, where a trigger keeps everybody from changing or deleting them."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert, select

from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.tables import AUDIT_EVENTS
from services.identity.rules.accounts import AuditEvent, AuditQuery

_EVENTS = AUDIT_EVENTS.c


@dataclass(frozen=True, slots=True)
class PostgresAuditLog:
    """Implements the port AuditLog."""

    work: PostgresWork

    async def add(self, event: AuditEvent) -> None:
        """See the port."""
        statement = insert(AUDIT_EVENTS).values(
            id=event.event_id,
            created_at=event.at,
            actor_id=event.actor_id,
            action=event.action,
            subject_id=event.subject_id,
            address=event.address,
            request_id=event.request_id,
            outcome=event.outcome,
            details=dict(event.details),
        )
        async with self.work.connection() as connection:
            await connection.execute(statement)

    async def page(self, query: AuditQuery, before: UUID | None, size: int) -> list[AuditEvent]:
        """See the port."""
        statement = select(AUDIT_EVENTS).order_by(_EVENTS.id.desc()).limit(size)
        for column, wanted in (
            (_EVENTS.actor_id, query.actor_id),
            (_EVENTS.subject_id, query.subject_id),
            (_EVENTS.action, query.action),
        ):
            if wanted:
                statement = statement.where(column == wanted)
        if query.since is not None:
            statement = statement.where(_EVENTS.created_at >= query.since)
        if query.before is not None:
            statement = statement.where(_EVENTS.created_at < query.before)
        if before is not None:
            statement = statement.where(_EVENTS.id < before)
        async with self.work.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            AuditEvent(
                row.id,
                row.created_at,
                row.actor_id,
                row.action,
                row.subject_id,
                row.address,
                row.request_id,
                row.outcome,
                row.details,
            )
            for row in rows
        ]
