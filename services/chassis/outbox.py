"""The transactional outbox: an event is stored with the change it tells of, and published by a relay.

PostgreSQL is the truth and the queue carries nudges: an event may be published twice after a crash, never lost.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text, Uuid, func, insert, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.identifiers import new_id

_BATCH = 200
_POLL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Event:
    """Something for another part of the house: `topic` is the queue, `key` what it is about."""

    event_id: UUID
    topic: str
    key: str
    payload: dict[str, object]


Publish = Callable[[Sequence[Event]], Awaitable[None]]
"""Hands events to the broker, in their order; raises when the broker has not taken all of them."""


def outbox_table(metadata: MetaData, schema: str) -> Table:
    """Return the outbox of a service, as its migration creates it."""
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=True),
        Column("event_id", Uuid, nullable=False, unique=True),
        Column("topic", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("payload", JSONB, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        schema=schema,
    )


class Outbox:
    """The outbox of one service, and its relay."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table
        self._insert = insert(table)
        self._wake = asyncio.Event()

    async def add(self, connection: AsyncConnection, topic: str, key: str, payload: dict[str, object]) -> None:
        """Store an event in the transaction of the change it tells of. Call `wake` once that has committed."""
        await connection.execute(self._insert, {"event_id": new_id(), "topic": topic, "key": key, "payload": payload})

    def wake(self) -> None:
        """Let this process's relay look at once, instead of at its next poll."""
        self._wake.set()

    async def relay(self, publish: Publish) -> None:
        """Publish what is stored, for ever. Any number of relays may run; one at a time does the work."""
        while True:
            self._wake.clear()
            while await self._relay_batch(publish) == _BATCH:
                pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()

    async def _relay_batch(self, publish: Publish) -> int:
        table = self._table
        async with self._database.transaction() as connection:
            # One relay at a time keeps the events of a key in order. Rows are read until they are deleted, never
            # "after the last id": a slow transaction may commit a lower id later.
            locked = await connection.scalar(
                text("SELECT pg_try_advisory_xact_lock(hashtext(:name))"), {"name": f"relay:{table.schema}"}
            )
            if not locked:
                return 0
            rows = (await connection.execute(table.select().order_by(table.c.id).limit(_BATCH))).all()
            if not rows:
                return 0
            await publish([Event(row.event_id, row.topic, row.key, row.payload) for row in rows])
            await connection.execute(table.delete().where(table.c.id.in_([row.id for row in rows])))
            return len(rows)
