"""Transactions of this service in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from services.bots.backends.postgres_application_store import PostgresApplicationStore
from services.bots.backends.postgres_bot_store import PostgresBotStore
from services.bots.backends.postgres_change_log import PostgresChangeLog
from services.bots.backends.postgres_prompt_store import PostgresPromptStore
from services.bots.ports import Transaction
from services.chassis.database import Database


class PostgresTransactions:
    """Implements the port Transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self._database.transaction() as connection:
            yield _on(connection)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self._database.autocommit() as connection:
            yield _on(connection)


def _on(connection: AsyncConnection) -> Transaction:
    return Transaction(
        PostgresBotStore(connection),
        PostgresApplicationStore(connection),
        PostgresPromptStore(connection),
        PostgresChangeLog(connection),
    )
