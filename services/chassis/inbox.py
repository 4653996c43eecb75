"""The inbox: what a consumer has dealt with, so that an event that comes twice has one effect.

A broker delivers at least once. The row that says "done" commits with the effect, or neither does.
"""

import asyncio
from uuid import UUID

from sqlalchemy import Column, DateTime, MetaData, Table, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database

KEPT_DAYS = 30
"""Longer than any event may come back, replayed dead letters included."""
_CHUNK = 1000
_PAUSE_SECONDS = 3600.0


def inbox_table(metadata: MetaData, schema: str) -> Table:
    """Return the inbox of a service, as its migration creates it; it needs an index on `received_at`."""
    return Table(
        "inbox",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("event_id", Uuid, primary_key=True),
        Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        schema=schema,
    )


class Inbox:
    """The inbox of one service."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._first = insert(table).on_conflict_do_nothing()
        # In chunks: a long transaction would keep the outbox's dead rows from being cleaned away.
        self._prune = text(
            f"""
            DELETE FROM {table.fullname} WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM {table.fullname} WHERE received_at < now() - make_interval(days => :days)
                LIMIT {_CHUNK} FOR UPDATE SKIP LOCKED
            ))
            """  # noqa: S608 - names of ours
        )

    async def is_first(self, connection: AsyncConnection, consumer: str, event_id: UUID) -> bool:
        """Note that `consumer` deals with an event in this transaction; False when it has done so before.

        A second transaction with the same event waits for the first one's end.
        """
        noted = await connection.execute(self._first, {"consumer": consumer, "event_id": event_id})
        return noted.rowcount == 1

    async def prune(self) -> int:
        """Forget what is older than 30 days, chunk by chunk; return how much that was."""
        pruned = 0
        while True:
            async with self._database.transaction() as connection:
                chunk = (await connection.execute(self._prune, {"days": KEPT_DAYS})).rowcount
            pruned += chunk
            if chunk < _CHUNK:
                return pruned

    async def keep_pruning(self) -> None:
        """Forget every hour, for ever. Any number of processes may do so."""
        while True:
            await self.prune()
            await asyncio.sleep(_PAUSE_SECONDS)
