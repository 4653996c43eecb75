"""Transactions of this service in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.outbox import Outbox
from services.operations.backends.outbox_jobs import OutboxJobs
from services.operations.backends.postgres_action_log import PostgresActionLog
from services.operations.backends.postgres_letter_store import PostgresLetterStore
from services.operations.backends.postgres_operation_store import PostgresOperationStore
from services.operations.backends.postgres_schedule_store import PostgresScheduleStore
from services.operations.backends.tables import EVENT_OUTBOX
from services.operations.ports import Transaction


class PostgresTransactions:
    """Implements the port Transactions."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self.events = Outbox(database, EVENT_OUTBOX)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self._database.transaction() as connection:
            yield self._on(connection)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """See the port."""
        async with self._database.autocommit() as connection:
            yield self._on(connection)

    def jobs_committed(self) -> None:
        """See the port."""
        self._outbox.wake()

    def _on(self, connection: AsyncConnection) -> Transaction:
        return Transaction(
            PostgresLetterStore(connection),
            PostgresScheduleStore(connection),
            PostgresOperationStore(connection),
            PostgresActionLog(connection, self.events),
            OutboxJobs(connection, self._outbox),
        )
