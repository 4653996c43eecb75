"""Leases in PostgreSQL: one holder at a time, and a fence that keeps a holder that slept through it from writing.

Kleppmann, "How to do distributed locking" (2016): a lease alone cannot stop a process that was paused; the fence, which
rises with every lease and which each write names, can. What guards a row of its own, such as a conversation, has its
lease in that row instead: one statement then does both.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.heartbeat import LeaseLost, renewed


def lease_table(metadata: MetaData, schema: str) -> Table:
    """Return the leases of a service, as its migration creates them."""
    return Table(
        "lease",
        metadata,
        Column("name", Text, primary_key=True),
        Column("fence", BigInteger, nullable=False),
        Column("held_until", DateTime(timezone=True), nullable=False),
        schema=schema,
    )


class Leases:
    """The leases of one service, by name."""

    def __init__(self, database: Database, table: Table, seconds: float = 8.0) -> None:
        self._database = database
        self._seconds = seconds
        name = table.fullname
        self._take = text(
            f"""
            INSERT INTO {name} AS held (name, fence, held_until) VALUES (:name, 1, now() + make_interval(secs => :s))
            ON CONFLICT (name) DO UPDATE SET fence = held.fence + 1, held_until = excluded.held_until
            WHERE held.held_until < now() RETURNING fence
            """  # noqa: S608 - names of ours
        )
        mine = "WHERE name = :name AND fence = :fence"
        # A heartbeat that reaches PostgreSQL after the lease was given back leaves it so: else nobody could take it.
        later = "CASE WHEN held_until > '-infinity' THEN now() + make_interval(secs => :s) ELSE held_until END"
        self._renew = text(f"UPDATE {name} SET held_until = {later} {mine}")  # noqa: S608
        self._release = text(f"UPDATE {name} SET held_until = '-infinity' {mine}")  # noqa: S608
        self._check = text(f"SELECT 1 FROM {name} {mine} FOR SHARE")  # noqa: S608

    async def take(self, name: str) -> int | None:
        """Take a lease that nobody holds and return its fence; None when somebody holds it."""
        async with self._database.transaction() as connection:
            fence: int | None = await connection.scalar(self._take, {"name": name, "s": self._seconds})
            return fence

    async def renew(self, name: str, fence: int) -> bool:
        """Lengthen a lease; False when somebody else has taken it meanwhile."""
        async with self._database.transaction() as connection:
            renewed = await connection.execute(self._renew, {"name": name, "fence": fence, "s": self._seconds})
            return renewed.rowcount == 1

    async def release(self, name: str, fence: int) -> None:
        """Give a lease back."""
        async with self._database.transaction() as connection:
            await connection.execute(self._release, {"name": name, "fence": fence})

    async def check(self, connection: AsyncConnection, name: str, fence: int) -> None:
        """See that a fence is the highest one, and keep it so until the transaction ends. Raises LeaseLost."""
        if await connection.scalar(self._check, {"name": name, "fence": fence}) is None:
            raise LeaseLost(name)

    @asynccontextmanager
    async def held(self, name: str, fence: int) -> AsyncIterator[None]:
        """Renew a lease while the block runs, and give it back; when it is lost, end the block with LeaseLost."""
        try:
            async with renewed(partial(self.renew, name, fence), self._seconds / 4):
                yield
        finally:
            # Of a lease that is lost, somebody else has a higher fence: nothing is given back then.
            await self.release(name, fence)
