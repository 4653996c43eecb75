"""Prompts, their versions and labels in PostgreSQL."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Select, insert, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bots.backends.owned_rows import OwnedRows
from services.bots.backends.tables import (
    BOT,
    PROMPT,
    PROMPT_LABEL,
    PROMPT_VERSION,
    label_of,
    prompt_of,
    stored_variables,
    version_of,
)
from services.bots.errors import PromptInUse
from services.bots.rules import Label, Prompt, PromptVersion


class PostgresPromptStore(OwnedRows[Prompt]):
    """Implements the port PromptStore on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, PROMPT, "prompt_id", prompt_of)

    async def delete(self, row_id: UUID) -> None:
        """See the port."""
        # The prompt is locked: nobody can give it to a bot between the question and the deletion.
        if await self.connection.scalar(select(BOT.c.id).where(BOT.c.prompt_id == row_id).limit(1)) is not None:
            raise PromptInUse(prompt_id=row_id)
        await OwnedRows.delete(self, row_id)

    async def add_version(self, version: PromptVersion, request_id: UUID | None) -> None:
        """See the port."""
        values = asdict(version) | {"variables": stored_variables(version.variables), "request_id": request_id}
        await self.connection.execute(insert(PROMPT_VERSION).values(**values))

    async def version_by_request(self, prompt_id: UUID, request_id: UUID) -> PromptVersion | None:
        """See the port."""
        return await self._version(_versions_of(prompt_id).where(PROMPT_VERSION.c.request_id == request_id))

    async def version(self, prompt_id: UUID, number: int) -> PromptVersion | None:
        """See the port."""
        return await self._version(_versions_of(prompt_id).where(PROMPT_VERSION.c.number == number))

    async def _version(self, statement: Select[Any]) -> PromptVersion | None:
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else version_of(row)

    async def versions(self, prompt_id: UUID, before: int | None, size: int) -> list[PromptVersion]:
        """See the port."""
        statement = _versions_of(prompt_id)
        if before is not None:
            statement = statement.where(PROMPT_VERSION.c.number < before)
        rows = await self.connection.execute(statement.order_by(PROMPT_VERSION.c.number.desc()).limit(size))
        return [version_of(row) for row in rows]

    async def label(self, prompt_id: UUID, name: str) -> Label | None:
        """See the port."""
        table = PROMPT_LABEL
        statement = select(table).where(table.c.prompt_id == prompt_id, table.c.name == name)
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else label_of(row)

    async def labels(self, prompt_id: UUID, after: str, size: int) -> list[Label]:
        """See the port."""
        table = PROMPT_LABEL
        statement = select(table).where(table.c.prompt_id == prompt_id, table.c.name > after)
        return [label_of(row) for row in await self.connection.execute(statement.order_by(table.c.name).limit(size))]

    async def put_label(self, prompt_id: UUID, label: Label) -> None:
        """See the port."""
        values = asdict(label)
        statement = postgres_insert(PROMPT_LABEL).values(prompt_id=prompt_id, **values)
        await self.connection.execute(
            statement.on_conflict_do_update(
                index_elements=["prompt_id", "name"],
                set_={name: statement.excluded[name] for name in values if name != "name"},
            )
        )


def _versions_of(prompt_id: UUID) -> Select[Any]:
    return select(PROMPT_VERSION).where(PROMPT_VERSION.c.prompt_id == prompt_id)
