"""One transaction for all that an operation changes, whichever backends it goes through."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database

_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('identity/' || :name, 0))")


class PostgresWork:
    """Implements the port Work, and gives the backends its connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unit: ContextVar[_Unit | None] = ContextVar("unit of work", default=None)

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """See the port. A block inside of another one is a part of it."""
        if self._unit.get() is not None:
            yield
            return
        async with AsyncExitStack() as stack:
            entered = self._unit.set(_Unit(self._database, stack))
            try:
                yield
            finally:
                self._unit.reset(entered)

    async def alone(self, name: str) -> None:
        """See the port."""
        async with self.connection() as connection:
            await connection.execute(_ALONE, {"name": name})

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Yield the connection of the work at hand; outside of one, that of a transaction of its own."""
        unit = self._unit.get()
        if unit is not None:
            yield await unit.connection()
            return
        async with self._database.transaction() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection for reading: that of the work at hand once it has one, else one given back at once.

        So nothing slow that comes before the first change, such as a hash, keeps a connection, and nobody needs two.
        """
        unit = self._unit.get()
        if unit is not None and unit.has_begun:
            yield await unit.connection()
            return
        async with self._database.autocommit() as connection:
            yield connection


class _Unit:
    """Its transaction begins with the first change, so that what is slow and comes before it holds no connection."""

    def __init__(self, database: Database, stack: AsyncExitStack) -> None:
        self._database = database
        self._stack = stack
        self._connection: AsyncConnection | None = None

    @property
    def has_begun(self) -> bool:
        return self._connection is not None

    async def connection(self) -> AsyncConnection:
        if self._connection is None:
            self._connection = await self._stack.enter_async_context(self._database.transaction())
        return self._connection
