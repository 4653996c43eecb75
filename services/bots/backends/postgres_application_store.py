"""Applications and their keys in PostgreSQL."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bots.backends.owned_rows import OwnedRows
from services.bots.backends.tables import APPLICATION, APPLICATION_KEY, application_of, key_of
from services.bots.rules import Application, ApplicationKey


class PostgresApplicationStore(OwnedRows[Application]):
    """Implements the port ApplicationStore on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, APPLICATION, "application_id", application_of)

    async def add_key(self, key: ApplicationKey, digest: bytes) -> None:
        """See the port."""
        values = asdict(key)
        await self.connection.execute(insert(APPLICATION_KEY).values(id=values.pop("key_id"), digest=digest, **values))

    async def keys(self, application_id: UUID, before: UUID | None, size: int) -> list[ApplicationKey]:
        """See the port."""
        table = APPLICATION_KEY
        statement = select(table).where(table.c.application_id == application_id)
        if before is not None:
            statement = statement.where(table.c.id < before)
        return [key_of(row) for row in await self.connection.execute(statement.order_by(table.c.id.desc()).limit(size))]

    async def delete_key(self, application_id: UUID, key_id: UUID) -> bool:
        """See the port."""
        table = APPLICATION_KEY
        statement = delete(table).where(table.c.application_id == application_id, table.c.id == key_id)
        return (await self.connection.execute(statement)).rowcount == 1

    async def by_key(self, digest: bytes, at: datetime) -> tuple[Application, str] | None:
        """See the port."""
        key = APPLICATION_KEY
        statement = (
            select(APPLICATION)
            .join(key, key.c.application_id == APPLICATION.c.id)
            .where(key.c.digest == digest, or_(key.c.expires_at.is_(None), key.c.expires_at > at))
        )
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else (application_of(row), row.owner)
