"""Tools in PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.tools.backends.tables import LISTED, TOOL, place_of, stored_tool, tool_of
from services.tools.errors import ToolNameTaken
from services.tools.rules import Source, Tool


@dataclass(frozen=True, slots=True)
class PostgresToolStore:
    """Implements the port ToolStore on one connection."""

    connection: AsyncConnection

    async def add(self, tool: Tool, owner: str, request_id: UUID | None) -> bool:
        """See the port."""
        statement = (
            postgres_insert(TOOL)
            .values(**stored_tool(tool), owner=owner, request_id=request_id)
            .on_conflict_do_nothing(index_elements=["owner", "request_id"])
        )
        with _named_once(tool):
            return (await self.connection.execute(statement)).rowcount == 1

    async def by_request(self, owner: str, request_id: UUID) -> Tool | None:
        """See the port."""
        statement = select(TOOL).where(TOOL.c.owner == owner, TOOL.c.request_id == request_id)
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else tool_of(row)

    async def get(self, tool_id: UUID, owner: str, *, lock: bool = False) -> Tool | None:
        """See the port."""
        statement = select(TOOL).where(TOOL.c.id == tool_id, TOOL.c.owner == owner)
        row = (await self.connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
        return None if row is None else tool_of(row)

    async def several(self, tool_ids: Sequence[UUID], owners: Sequence[str]) -> list[tuple[Tool, str]]:
        """See the port."""
        statement = select(*LISTED).where(TOOL.c.id.in_(tool_ids), TOOL.c.owner.in_(owners))
        return [(tool_of(row), row.owner) for row in await self.connection.execute(statement)]

    async def page(self, owner: str, before: UUID | None, size: int) -> list[Tool]:
        """See the port."""
        statement = select(*LISTED).where(TOOL.c.owner == owner)
        if before is not None:
            statement = statement.where(TOOL.c.id < before)
        rows = await self.connection.execute(statement.order_by(TOOL.c.id.desc()).limit(size))
        return [tool_of(row) for row in rows]

    async def at(self, owner: str, sources: Sequence[Source]) -> list[Tool]:
        """See the port."""
        # Not the rows: those of another import may not be there yet.
        name = f"tools-import:{owner}"
        await self.connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
        places = [TOOL.c.source.contains(place_of(source)) for source in sources]
        statement = select(TOOL).where(TOOL.c.owner == owner, or_(*places)).order_by(TOOL.c.id).with_for_update()
        return [tool_of(row) for row in await self.connection.execute(statement)]

    async def save(self, tool: Tool) -> None:
        """See the port."""
        values = stored_tool(tool)
        with _named_once(tool):
            await self.connection.execute(update(TOOL).where(TOOL.c.id == values.pop("id")).values(**values))

    async def delete(self, tool_id: UUID) -> None:
        """See the port."""
        await self.connection.execute(delete(TOOL).where(TOOL.c.id == tool_id))


@contextmanager
def _named_once(tool: Tool) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if "tool_name" in str(error.orig):
            raise ToolNameTaken(name=tool.name) from error
        raise
