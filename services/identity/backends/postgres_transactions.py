"""Transactions in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.chassis.database import Database
from services.identity.backends.postgres_session_store import PostgresSessionStore
from services.identity.backends.postgres_user_store import PostgresUserStore
from services.identity.ports import Transaction


@dataclass(frozen=True, slots=True)
class PostgresTransactions:
    """Implements the port Transactions."""

    database: Database

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self.database.transaction() as connection:
            yield Transaction(PostgresUserStore(connection), PostgresSessionStore(connection))
