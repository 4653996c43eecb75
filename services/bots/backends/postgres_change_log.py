"""Who changed what, in PostgreSQL."""

from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bots.backends.tables import CHANGE, change_of
from services.bots.rules import Change


@dataclass(frozen=True, slots=True)
class PostgresChangeLog:
    """Implements the port ChangeLog on one connection."""

    connection: AsyncConnection

    async def add(self, change: Change, owner: str, stale: str) -> None:
        """See the port."""
        values = asdict(change)
        statement = insert(CHANGE).values(id=values.pop("change_id"), owner=owner, stale=stale, **values)
        await self.connection.execute(statement)

    async def page(self, owner: str, subject_id: UUID | None, before: UUID | None, size: int) -> list[Change]:
        """See the port."""
        statement = select(CHANGE).where(CHANGE.c.owner == owner)
        if subject_id is not None:
            statement = statement.where(CHANGE.c.subject_id == subject_id)
        if before is not None:
            statement = statement.where(CHANGE.c.id < before)
        rows = await self.connection.execute(statement.order_by(CHANGE.c.id.desc()).limit(size))
        return [change_of(row) for row in rows]
