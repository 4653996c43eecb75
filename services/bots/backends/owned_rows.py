"""What bots, applications and prompts have in common in PostgreSQL: an owner, an id, a request id and a revision."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Row, Table, delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bots.rules import Application, Bot, Prompt

T = TypeVar("T", Bot, Application, Prompt)


@dataclass(frozen=True, slots=True)
class OwnedRows(Generic[T]):
    """The rows of one table on one connection; the fields of `T` are its columns, but for its id."""

    connection: AsyncConnection
    table: Table
    id_field: str
    of: Callable[[Row[Any]], T]

    async def add(self, kept: T, owner: str, request_id: UUID | None) -> bool:
        """Store a new row; False, having stored nothing, when the owner used the request id before."""
        statement = (
            postgres_insert(self.table)
            .values(**self._values(kept), owner=owner, request_id=request_id)
            .on_conflict_do_nothing(index_elements=["owner", "request_id"])
        )
        return (await self.connection.execute(statement)).rowcount == 1

    async def by_request(self, owner: str, request_id: UUID) -> T | None:
        """Return the row that was stored with a request id."""
        table = self.table
        return await self._one(select(table).where(table.c.owner == owner, table.c.request_id == request_id))

    async def get(self, row_id: UUID, owner: str, *, lock: bool = False) -> T | None:
        """Return the owner's row; `lock` keeps others from changing it until the transaction ends."""
        table = self.table
        statement = select(table).where(table.c.id == row_id, table.c.owner == owner)
        return await self._one(statement.with_for_update() if lock else statement)

    async def page(self, owner: str, before: UUID | None, size: int) -> list[T]:
        """Return the owner's rows with an id below `before`, the last made first."""
        table = self.table
        statement = select(table).where(table.c.owner == owner)
        if before is not None:
            statement = statement.where(table.c.id < before)
        rows = await self.connection.execute(statement.order_by(table.c.id.desc()).limit(size))
        return [self.of(row) for row in rows]

    async def save(self, kept: T) -> None:
        """Store a changed row."""
        values = self._values(kept)
        await self.connection.execute(update(self.table).where(self.table.c.id == values.pop("id")).values(**values))

    async def delete(self, row_id: UUID) -> None:
        """Delete a row."""
        await self.connection.execute(delete(self.table).where(self.table.c.id == row_id))

    def _values(self, kept: T) -> dict[str, Any]:
        values = asdict(kept)
        return {"id": values.pop(self.id_field), **values}

    async def _one(self, statement: Any) -> T | None:
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else self.of(row)
