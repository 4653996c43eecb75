"""Events leave with the change they tell of: none lost, none made up, in order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import MetaData, func, select, text

from services.chassis import metrics, tracing
from services.chassis.database import Database
from services.chassis.outbox import MAX_BYTES, Event, EventTooLarge, Lag, Outbox, Publish, outbox_table, partition_of
from services.chassis.supervision import keep_running
from tests.support.scrapes import scraped
from tests.support.stores import free_port

_METADATA = MetaData()
_TABLE = outbox_table(_METADATA, "trial")


@dataclass
class _Broker:
    """Takes events until it has `expected` of them; refuses as often as `refusals` says."""

    expected: int
    refusals: int = 0
    events: list[Event] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, events: Sequence[Event]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("the broker is away")
        await asyncio.sleep(0)
        self.events += events
        if len(self.events) >= self.expected:
            self.done.set()

    @property
    def payloads(self) -> list[object]:
        return [event.payload["n"] for event in self.events]


@pytest.fixture
async def outbox(empty: Database) -> Outbox:
    async with empty.transaction() as connection:
        await connection.execute(text("CREATE SCHEMA trial"))
        await connection.run_sync(_METADATA.create_all)
    return Outbox(empty, _TABLE)


async def _add(database: Database, outbox: Outbox, numbers: Sequence[int]) -> None:
    async with database.transaction() as connection:
        for number in numbers:
            await outbox.add(connection, "incoming", f"key-{number % 3}", {"n": number})


async def _left(database: Database) -> int:
    async with database.transaction() as connection:
        return int(await connection.scalar(select(func.count()).select_from(_TABLE)) or 0)


@asynccontextmanager
async def _relaying(*relays: tuple[Outbox, Publish]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(_supervised(outbox, publish)) for outbox, publish in relays]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _supervised(outbox: Outbox, publish: Publish) -> None:
    await keep_running("relay", lambda: outbox.relay(publish))


async def _published(database: Database, broker: _Broker) -> None:
    async with asyncio.timeout(20):
        await broker.done.wait()
        while await _left(database):
            await asyncio.sleep(0.01)


async def test_events_leave_in_order_with_what_they_say(empty: Database, outbox: Outbox) -> None:
    broker = _Broker(450)
    await _add(empty, outbox, range(450))
    async with _relaying((outbox, broker.publish)):
        await _published(empty, broker)
    assert broker.payloads == list(range(450))
    first = broker.events[0]
    assert (first.topic, first.key, first.event_id.version) == ("incoming", "key-0", 7)
    assert len({event.event_id for event in broker.events}) == 450


async def test_a_change_that_did_not_happen_says_nothing(empty: Database, outbox: Outbox) -> None:
    broker = _Broker(1)
    async with empty.engine.connect() as connection, connection.begin() as transaction:
        await outbox.add(connection, "incoming", "key", {"n": 1})
        await transaction.rollback()
    async with _relaying((outbox, broker.publish)):
        await _add(empty, outbox, [2])
        await _published(empty, broker)
    assert broker.payloads == [2]


async def test_a_broker_that_is_away_costs_nothing_but_time(empty: Database, outbox: Outbox) -> None:
    broker = _Broker(50, refusals=2)
    await _add(empty, outbox, range(50))
    async with _relaying((outbox, broker.publish)):
        await _published(empty, broker)
    assert broker.payloads == list(range(50))


async def test_two_relays_publish_each_event_once(empty: Database, empty_url: str, outbox: Outbox) -> None:
    broker = _Broker(900)
    other_process = Database(empty_url)
    other = Outbox(other_process, _TABLE)
    async with _relaying((outbox, broker.publish), (other, broker.publish)):
        for start in range(0, 900, 100):
            await _add(empty, outbox, range(start, start + 100))
            outbox.wake()
            other.wake()
        await _published(empty, broker)
    await other_process.close()
    assert sorted(broker.payloads) == list(range(900))  # type: ignore[type-var]
    for key in range(3):
        of_key = [event.payload["n"] for event in broker.events if event.key == f"key-{key}"]
        assert of_key == list(range(key, 900, 3))


async def test_a_slow_transaction_is_not_overtaken_for_ever(empty: Database, outbox: Outbox) -> None:
    """Its row has a lower id than one that was published and deleted before it committed."""
    broker = _Broker(2)
    async with _relaying((outbox, broker.publish)):
        async with empty.transaction() as slow:
            await outbox.add(slow, "incoming", "slow", {"n": 1})
            await _add(empty, outbox, [2])
            outbox.wake()
            async with asyncio.timeout(10):
                while broker.payloads != [2]:
                    await asyncio.sleep(0.01)
        await _published(empty, broker)
    assert broker.payloads == [2, 1]


async def test_a_relay_that_hangs_holds_up_its_own_partitions_only(
    empty: Database, empty_url: str, outbox: Outbox
) -> None:
    """The keys differ in their partition, so the other relay goes on with what the hanging one has not taken."""
    assert len({partition_of(f"key-{number}") for number in range(3)}) == 3
    never = asyncio.Event()
    taken: list[Event] = []

    async def hang(events: Sequence[Event]) -> None:
        taken.extend(events)
        await never.wait()

    broker = _Broker(2)
    other_process = Database(empty_url)
    await _add(empty, outbox, [0])
    async with _relaying((outbox, hang)):
        async with asyncio.timeout(10):
            while not taken:
                await asyncio.sleep(0.01)
        await _add(empty, outbox, [1, 2, 3])
        async with _relaying((Outbox(other_process, _TABLE), broker.publish)), asyncio.timeout(10):
            await broker.done.wait()
    await other_process.close()
    # 3 has the key of 0, and waits behind it.
    assert broker.payloads == [1, 2]
    assert [event.payload["n"] for event in taken] == [0]


async def test_events_carry_the_trace_in_which_they_came_about(empty: Database, outbox: Outbox) -> None:
    broker = _Broker(1)
    with tracing.continued({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}):
        await _add(empty, outbox, [1])
    async with _relaying((outbox, broker.publish)):
        await _published(empty, broker)
    assert broker.events[0].headers["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")


async def test_what_no_broker_would_take_is_refused_before_it_holds_up_others(empty: Database, outbox: Outbox) -> None:
    async with empty.transaction() as connection:
        with pytest.raises(EventTooLarge, match="the topic incoming has 1048"):
            await outbox.add(connection, "incoming", "key", {"text": "x" * MAX_BYTES})
    assert await _left(empty) == 0


async def test_the_lag_tells_how_much_waits_and_for_how_long(empty: Database, outbox: Outbox) -> None:
    assert await outbox.lag() == Lag(0, 0.0)
    await _add(empty, outbox, range(5))
    async with empty.transaction() as connection:
        await connection.execute(text("UPDATE trial.outbox SET created_at = now() - interval '90 s' WHERE id = 1"))
    lag = await outbox.lag()
    assert lag.count == 5
    assert lag.seconds >= 90


async def test_prometheus_is_told_how_far_behind_a_relay_is(empty: Database, outbox: Outbox) -> None:
    port, broker, never = free_port(), _Broker(2), asyncio.Event()

    async def hang(_events: Sequence[Event]) -> None:
        await never.wait()

    await _add(empty, outbox, [1, 2])
    async with empty.transaction() as connection:
        await connection.execute(text("UPDATE trial.outbox SET created_at = now() - interval '90 s' WHERE id = 1"))
    async with metrics.exposed(f"127.0.0.1:{port}"):
        async with _relaying((outbox, hang)):
            behind = await scraped(port)
            assert behind.value("parley_outbox_events", outbox="trial.outbox") == 2
            assert behind.value("parley_outbox_oldest_seconds", outbox="trial.outbox") >= 90
        before = behind.value("parley_outbox_published_total", outbox="trial.outbox")
        async with _relaying((outbox, broker.publish)):
            await _published(empty, broker)
            after = await scraped(port)
        assert after.value("parley_outbox_events", outbox="trial.outbox") == 0
        assert after.value("parley_outbox_published_total", outbox="trial.outbox") == before + 2
        assert "parley_outbox_events" not in (await scraped(port)).families, "who does not relay tells of no lag"


async def test_what_is_told_at_once_leaves_at_once(empty: Database, outbox: Outbox) -> None:
    broker = _Broker(1)
    async with _relaying((outbox, broker.publish)):
        await _add(empty, outbox, [1])
        outbox.wake()
        await _published(empty, broker)
    assert broker.payloads == [1]
