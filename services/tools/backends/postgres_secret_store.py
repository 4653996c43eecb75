"""Where secrets may be sent, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.tools.backends.tables import SECRET, secret_of
from services.tools.rules.secrets import ToolSecret


@dataclass(frozen=True, slots=True)
class PostgresSecretStore:
    """Implements the port SecretStore on one connection."""

    connection: AsyncConnection

    async def put(self, secret: ToolSecret, owner: str) -> None:
        """See the port."""
        values = asdict(secret)
        statement = postgres_insert(SECRET).values(owner=owner, **values)
        changes = {name: statement.excluded[name] for name in values if name not in ("name", "created_at")}
        await self.connection.execute(statement.on_conflict_do_update(index_elements=["owner", "name"], set_=changes))

    async def get(self, name: str, owner: str, *, lock: bool = False) -> ToolSecret | None:
        """See the port."""
        statement = select(SECRET).where(SECRET.c.owner == owner, SECRET.c.name == name)
        row = (await self.connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
        return None if row is None else secret_of(row)

    async def several(self, names: Sequence[str], owner: str) -> dict[str, ToolSecret]:
        """See the port."""
        statement = select(SECRET).where(SECRET.c.owner == owner, SECRET.c.name.in_(names))
        return {row.name: secret_of(row) for row in await self.connection.execute(statement)}

    async def page(self, owner: str, after: str, size: int) -> list[ToolSecret]:
        """See the port."""
        statement = select(SECRET).where(SECRET.c.owner == owner, SECRET.c.name > after)
        rows = await self.connection.execute(statement.order_by(SECRET.c.name).limit(size))
        return [secret_of(row) for row in rows]

    async def delete(self, name: str, owner: str) -> bool:
        """See the port."""
        statement = delete(SECRET).where(SECRET.c.owner == owner, SECRET.c.name == name)
        return (await self.connection.execute(statement)).rowcount == 1
