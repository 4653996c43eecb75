"""The buses, each over its real broker."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import aio_pika
import pytest

from services.chassis.events.bus import EventBus
from services.chassis.events.opening import open_bus
from services.chassis.events.rabbitmq_bus import RabbitmqBus
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.identifiers import new_id
from services.chassis.outbox import Event
from services.chassis.supervision import keep_running
from tests.support.brokers import RunningBroker, running_kafka, running_rabbitmq

_STARTS: dict[str, Callable[..., AbstractContextManager[RunningBroker]]] = {
    "kafka": running_kafka,
    "rabbitmq": running_rabbitmq,
}


@dataclass
class Listener:
    """A subscriber that keeps what it gets; `refuses` says which events it fails on."""

    refuses: Callable[[Event], bool] = lambda _: False
    events: deque[Event] = field(default_factory=deque)
    tries: int = 0

    async def handle(self, event: Event) -> None:
        """Deal with one event."""
        self.tries += 1
        if self.refuses(event):
            raise RuntimeError("it cannot be dealt with")
        self.events.append(event)

    async def has(self, count: int) -> list[object]:
        """Wait for so many events and return their numbers."""
        async with asyncio.timeout(60):
            while len(self.events) < count:
                await asyncio.sleep(0.02)
        return [event.payload["n"] for event in self.events]


@dataclass
class Jobs:
    """Implements the port JobPublisher: keeps the jobs of failed events. `away` says that the broker takes none."""

    taken: deque[Event] = field(default_factory=deque)
    away: bool = False
    refused: int = 0

    async def publish(self, events: Sequence[Event]) -> None:
        """Keep jobs."""
        if self.away:
            self.refused += 1
            raise ConnectionError("the broker of jobs is away")
        self.taken.extend(events)

    async def close(self) -> None:
        """Have nothing to close."""


@dataclass
class Trial:
    """A bus for one test, with a topic of its own."""

    bus: EventBus
    broker: RunningBroker | None
    jobs: Jobs = field(default_factory=Jobs)
    topic: str = field(default_factory=lambda: f"topic_{uuid4().hex[:8]}")

    def event(self, number: int, key: str = "key", **headers: str) -> Event:
        """Make an event."""
        return Event(new_id(), self.topic, key, {"n": number}, headers)

    @asynccontextmanager
    async def listening(self, group: str, listener: Listener) -> AsyncIterator[None]:
        """Listen while the block runs, as a service does."""
        loop = self.bus.subscribe(self.topic, group, listener.handle)
        task = asyncio.create_task(keep_running(group, loop))
        try:
            await self.heard(group)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish as the relay does: until the broker has taken all of it."""
        async with asyncio.timeout(60):
            while True:
                try:
                    async with asyncio.timeout(10):
                        return await self.bus.publish(events)
                except (TimeoutError, OSError, aio_pika.exceptions.AMQPError):
                    await asyncio.sleep(0.1)

    async def heard(self, group: str) -> None:
        """Return once the group's queue is there: a group has what is published from then on."""
        if not isinstance(self.bus, RabbitmqBus) or self.broker is None:
            return
        async with asyncio.timeout(30), await aio_pika.connect(self.broker.url) as connection:
            while True:
                try:
                    channel = await connection.channel()
                    queue = await channel.get_queue(f"{self.topic}.{group}", ensure=True)
                    if queue.declaration_result.consumer_count:
                        return
                except aio_pika.exceptions.ChannelNotFoundEntity:
                    pass
                await asyncio.sleep(0.05)

    async def kept(self) -> None:
        """Return once what the broker knows of new queues outlives its death."""
        if isinstance(self.bus, RabbitmqBus) and self.broker is not None:
            await self.broker.settled()


@pytest.fixture(scope="module", params=["in_process", *sorted(_STARTS)])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker | None]:
    """The broker of a bus; none for the one in the process."""
    if request.param == "in_process":
        yield None
        return
    with _STARTS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
async def trial(broker: RunningBroker | None) -> AsyncIterator[Trial]:
    """A bus, its broker running."""
    if broker is not None:
        broker.start()
    jobs = Jobs()
    bus = open_bus(broker.url if broker is not None else "", Subscriptions(jobs))
    yield Trial(bus, broker, jobs)
    await bus.close()
