"""Transactions of this service in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.outbox import Outbox
from services.conversations.backends.postgres_conversation_store import PostgresConversationStore
from services.conversations.backends.postgres_run_store import PostgresRunStore
from services.conversations.backends.postgres_withdrawal_store import PostgresWithdrawalStore
from services.conversations.backends.seals import Seals
from services.conversations.ports import Transaction


class PostgresTransactions:
    """Implements the port Transactions."""

    def __init__(self, database: Database, outbox: Outbox, seals: Seals) -> None:
        self._database = database
        self._seals = seals
        self._outbox = outbox

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self._database.transaction() as connection:
            yield self._on(connection)

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self._database.autocommit() as connection:
            yield self._on(connection)

    def _on(self, connection: AsyncConnection) -> Transaction:
        return Transaction(
            PostgresConversationStore(connection, self._seals),
            PostgresRunStore(connection, self._outbox, self._seals),
            PostgresWithdrawalStore(connection),
        )

    def nudge_committed(self) -> None:
        """See the port."""
        self._outbox.wake()
