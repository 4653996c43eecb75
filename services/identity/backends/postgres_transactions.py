"""Transactions in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.identity.backends.postgres_session_store import PostgresSessionStore
from services.identity.backends.postgres_user_store import PostgresUserStore
from services.identity.backends.postgres_work import PostgresWork
from services.identity.ports.stores import Transaction


@dataclass(frozen=True, slots=True)
class PostgresTransactions:
    """Implements the port Transactions."""

    work: PostgresWork

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self.work.connection() as connection:
            yield Transaction(PostgresUserStore(connection), PostgresSessionStore(connection))

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self.work.reading() as connection:
            yield Transaction(PostgresUserStore(connection), PostgresSessionStore(connection))
