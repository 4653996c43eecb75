"""Transactions of this service in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.outbox import Outbox
from services.tools.backends.postgres_call_store import PostgresCallStore
from services.tools.backends.postgres_secret_store import PostgresSecretStore
from services.tools.backends.postgres_tool_store import PostgresToolStore
from services.tools.ports import Transaction


class PostgresTransactions:
    """Implements the port Transactions."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self._database.transaction() as connection:
            yield self._stores(connection)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self._database.autocommit() as connection:
            yield self._stores(connection)

    def _stores(self, connection: AsyncConnection) -> Transaction:
        return Transaction(
            PostgresToolStore(connection),
            PostgresCallStore(connection, self._outbox),
            PostgresSecretStore(connection),
        )

    def nudge_committed(self) -> None:
        """See the port."""
        self._outbox.wake()
