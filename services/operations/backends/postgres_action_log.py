"""The action log in PostgreSQL; a trigger keeps what is in it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.operations.backends.tables import ACTION, action_of
from services.operations.rules import Action


@dataclass(frozen=True, slots=True)
class PostgresActionLog:
    """Implements the port ActionLog on one connection."""

    connection: AsyncConnection

    async def add(self, action: Action) -> None:
        """See the port."""
        await self.connection.execute(
            insert(ACTION).values(
                id=action.action_id,
                verb=action.verb,
                subject_kind=action.subject_kind,
                subject_id=action.subject_id,
                actor_id=action.actor_id,
                at=action.at,
                details=dict(action.details),
            )
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
