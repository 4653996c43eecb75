"""The transactional outbox: an event is stored with the change it tells of, and published by a relay.

PostgreSQL is the truth and the queue carries nudges: an event may be published twice after a crash, never lost. The
events of a key are published in the order in which they were stored, by however many relays.
"""

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    bindparam,
    exists,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from services.chassis import logs, metrics, tracebacks, tracing
from services.chassis.database import Database
from services.chassis.errors import Kind, ServiceError
from services.chassis.identifiers import new_id

PARTITIONS = 16
MAX_BYTES = 1024 * 1024
"""The most that an event may have on its way, its envelope included."""
_ENVELOPE_BYTES = 16 * 1024
_BATCH = 200
_POLL_SECONDS = 0.3
_FIRST_PAUSE_SECONDS = 0.2
_MAX_PAUSE_SECONDS = 5.0
_PUBLISH_SECONDS = 10.0
_log = logs.get(__name__)
_PUBLISHED = metrics.counter("parley_outbox_published", "Events that a relay has handed to the broker.", ("outbox",))
_WAITING = metrics.Gauge("parley_outbox_events", "Events that wait to be handed to the broker.", ("outbox",))
_OLDEST = metrics.Gauge("parley_outbox_oldest_seconds", "For how long the oldest of them has waited.", ("outbox",))


@dataclass(frozen=True, slots=True)
class Event:
    """Something for another part of the house: `topic` is the queue, `key` what it is about."""

    event_id: UUID
    topic: str
    key: str
    payload: dict[str, object]
    headers: dict[str, str] = field(default_factory=dict)
    """The trace in which it came about: `traceparent`."""


@dataclass(frozen=True, slots=True)
class Lag:
    """What waits to be published: how many events, and for how many seconds the oldest has waited."""

    count: int
    seconds: float


class EventTooLarge(ServiceError):
    """An event is larger than brokers take; large things are stored, and the event names them."""

    kind = Kind.INVALID_ARGUMENT
    reason = "EVENT_TOO_LARGE"
    template = "an event of the topic {topic} has {size} bytes, and may have {limit}"


Publish = Callable[[Sequence[Event]], Awaitable[None]]
"""Hands events to the broker, in the order of each key; raises when the broker has not taken all of them."""


def outbox_table(metadata: MetaData, schema: str, name: str = "outbox") -> Table:
    """Return the outbox of a service, as its migration creates it."""
    return Table(
        name,
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=True),
        Column("partition", SmallInteger, nullable=False),
        Column("event_id", Uuid, nullable=False, unique=True),
        Column("topic", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("payload", JSONB, nullable=False),
        Column("headers", JSONB, nullable=False, server_default=text("'{}'")),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        schema=schema,
    )


def partition_of(key: str) -> int:
    """Return the partition of a key: the events of one partition are published one after the other."""
    return zlib.crc32(key.encode()) % PARTITIONS


EVENT_TYPES: dict[str, TypeEngine[Any]] = {
    "outbox_id": Uuid(),
    "outbox_topic": Text(),
    "outbox_key": Text(),
    "outbox_partition": SmallInteger(),
    "outbox_headers": JSONB(),
}
"""The parameters of `storing`."""
_COLUMNS = "event_id, topic, key, partition, headers, payload"


def storing(table: Table, payload: str, source: str) -> str:
    """Return SQL that stores an event for the row of `source`, to be part of the statement that makes the change.

    It saves the round trip of `Outbox.add`. `payload` is an expression of jsonb, small by its nature; the parameters
    are those that `event_parameters` returns, of EVENT_TYPES.
    """
    event = ":outbox_id, :outbox_topic, :outbox_key, :outbox_partition, :outbox_headers"
    return f"INSERT INTO {table.fullname} ({_COLUMNS}) SELECT {event}, {payload} FROM {source}"  # noqa: S608 - ours


def event_parameters(topic: str, key: str) -> dict[str, object]:
    """Return the parameters of `storing` for an event of now."""
    return {
        "outbox_id": new_id(),
        "outbox_topic": topic,
        "outbox_key": key,
        "outbox_partition": partition_of(key),
        "outbox_headers": tracing.headers(),
    }


def _parameters(topic: str, key: str, payload: dict[str, object]) -> dict[str, object]:
    size = len(orjson.dumps(payload))
    if size > MAX_BYTES - _ENVELOPE_BYTES:
        raise EventTooLarge(topic=topic, size=size, limit=MAX_BYTES - _ENVELOPE_BYTES)
    return event_parameters(topic, key) | {"payload": payload}


class Outbox:
    """An outbox of one service, and its relay. What goes to another broker has an outbox of its own.

    A relay takes the partitions that no other relay has, and reads rows until they are deleted, never "after the last
    id": a slow transaction may commit a lower id later.
    """

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table
        types = {name: bindparam(name, type_=kind) for name, kind in (EVENT_TYPES | {"payload": JSONB()}).items()}
        self._insert = text(storing(table, ":payload", "(VALUES (1)) AS one")).bindparams(*types.values())
        self._wake = asyncio.Event()
        self._any = select(exists(select(table.c.id)))
        self._names = {"name": f"relay:{table.schema}.{table.name}"}
        # Looks only into partitions that hold something: sixteen looks into the index, however much waits. The inner
        # query is done before any lock is tried. Rows are gone once they are published and this commits; until then a
        # relay that follows has no lock of their partition. A relay that is stopped in its transaction (SIGSTOP, a cut
        # network) loses its partitions to the others.
        self._take = text(
            f"""
            WITH waiting AS MATERIALIZED (
                SELECT p FROM generate_series(0, {PARTITIONS - 1}) AS p
                WHERE EXISTS (SELECT 1 FROM {table.fullname} WHERE partition = p)
            ), held AS MATERIALIZED (
                SELECT p, set_config('idle_in_transaction_session_timeout', '15s', true) FROM waiting
                WHERE pg_try_advisory_xact_lock(hashtext(:name), p)
            )
            DELETE FROM {table.fullname} WHERE id IN (
                SELECT id FROM {table.fullname} WHERE partition IN (SELECT p FROM held) ORDER BY id LIMIT {_BATCH}
            )
            RETURNING {", ".join(table.columns.keys())}
            """  # noqa: S608 - names of ours
        ).columns(*table.columns)

    async def add(self, connection: AsyncConnection, topic: str, key: str, payload: dict[str, object]) -> None:
        """Store an event in the transaction of the change it tells of. Call `wake` once that has committed.

        Raises:
            EventTooLarge: no broker would take it, and those behind it would wait for ever.
        """
        await connection.execute(self._insert, _parameters(topic, key, payload))

    async def add_all(self, connection: AsyncConnection, events: Sequence[tuple[str, str, dict[str, object]]]) -> None:
        """Store events, each a topic, a key and a payload, in one round trip. See `add`."""
        if events:
            await connection.execute(self._insert, [_parameters(*event) for event in events])

    def wake(self) -> None:
        """Let this process's relay look at once, instead of at its next poll."""
        self._wake.set()

    async def lag(self) -> Lag:
        """Return how far publishing is behind storing."""
        waited = func.extract("epoch", func.clock_timestamp() - func.min(self._table.c.created_at))
        async with self._database.autocommit() as connection:
            row = (await connection.execute(select(func.count(), waited).select_from(self._table))).one()
        return Lag(row[0], max(float(row[1] or 0), 0.0))

    async def relay(self, publish: Publish) -> None:
        """Publish what is stored, for ever, and tell Prometheus how far behind that is. Any number of relays may run.

        While the broker is away it tries again after 0.2 s, 0.4 s … 5 s.
        """
        with metrics.looking(self._figures):
            await self._keep_relaying(publish)

    async def _figures(self) -> list[metrics.Figure]:
        lag, outbox = await self.lag(), (self._table.fullname,)
        return [metrics.Figure(_WAITING, outbox, lag.count), metrics.Figure(_OLDEST, outbox, lag.seconds)]

    async def _keep_relaying(self, publish: Publish) -> None:
        pause, woken = _FIRST_PAUSE_SECONDS, True
        while True:
            self._wake.clear()
            try:
                # Most looks find nothing: one round trip instead of three.
                if woken or await self._holds_something():
                    while await self._relay_batch(publish) == _BATCH:
                        pass
                pause = _FIRST_PAUSE_SECONDS
            except Exception as error:
                _log.warning(
                    "relay cannot go on", table=self._table.fullname, cause=tracebacks.told(error), pause_seconds=pause
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _MAX_PAUSE_SECONDS)
                continue
            woken = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    woken = await self._wake.wait()

    async def _holds_something(self) -> bool:
        async with self._database.autocommit() as connection:
            return bool(await connection.scalar(self._any))

    async def _relay_batch(self, publish: Publish) -> int:
        async with self._database.transaction() as connection:
            rows = sorted(await connection.execute(self._take, self._names), key=lambda row: row.id)
            if not rows:
                return 0
            async with asyncio.timeout(_PUBLISH_SECONDS):
                await publish([Event(row.event_id, row.topic, row.key, row.payload, row.headers) for row in rows])
            _PUBLISHED.labels(self._table.fullname).inc(len(rows))
            return len(rows)
