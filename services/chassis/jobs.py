"""Background jobs: Dramatiq on Valkey or RabbitMQ, tuned so that nothing is lost.

Each setting closes a way in which Dramatiq's defaults lose or strand messages.
"""

import asyncio
import logging
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import dramatiq
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware, ShutdownNotifications, TimeLimit
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from services.chassis import garbage, logs
from services.chassis.addresses import Url, current, valkey_options
from services.chassis.job_middleware import DeadlyJobs, Metering, SafeRetries, Tracing
from services.chassis.outbox import Event
from services.chassis.rabbitmq import AsMessage, QuorumBroker, RabbitmqPublisher, message_of
from services.chassis.settings import ChassisSettings

_log = logs.get(__name__)
# Messages of a killed worker come back after its heartbeat is this old ...
_HEARTBEAT_TIMEOUT_MS = 5_000
# ... and one command in ten looks for them (the default of one in a thousand leaves them for minutes).
_MAINTENANCE_CHANCE = 100_000
_TIME_LIMIT_MS = 15 * 60 * 1000
_STOP_MS = 8_000
_COUNT_SECONDS = 1.0
# With pauses of 0.5 s, 1 s … 60 s between them: about three minutes, then the dead letters.
MAX_RETRIES = 8


class _RunningLoop(EventLoopThread):
    """Runs async actors on the loop that already runs, where the process has its pools and channels."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(logging.getLogger(__name__))
        self.loop.close()
        self.loop = loop


def make_broker(url: Url, valkey_url: Url = "") -> dramatiq.Broker:
    """Return the broker for actors: RabbitMQ for amqp://…, Valkey for redis://…. It connects when first used.

    A worker gives its `valkey_url`, where jobs that take their workers down are counted.
    """
    middleware: list[Middleware] = [
        Tracing(),
        Metering(),
        DeadlyJobs(_counts(valkey_url) if valkey_url else None),
        TimeLimit(time_limit=_TIME_LIMIT_MS),
        ShutdownNotifications(notify_shutdown=True),
        SafeRetries(max_retries=MAX_RETRIES, min_backoff=500, max_backoff=60_000),
    ]
    if current(url).startswith("amqp"):
        return QuorumBroker(url, middleware)
    return RedisBroker(  # type: ignore[no-untyped-call]
        connection_pool=ConnectionPool.from_url(**valkey_options(url)),
        middleware=middleware,
        heartbeat_timeout=_HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=_MAINTENANCE_CHANCE,
    )


def _counts(url: Url) -> Redis:
    # A Valkey that is away or hangs keeps no job waiting: it is done uncounted.
    pool = ConnectionPool.from_url(
        **valkey_options(url), socket_timeout=_COUNT_SECONDS, socket_connect_timeout=_COUNT_SECONDS
    )
    return Redis(connection_pool=pool, retry=Retry(NoBackoff(), 1))


class JobPublisher(Protocol):
    """Hands outbox events to the broker, as jobs."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand the events over, those of a key in their order. Raises when the broker has not taken all of them."""

    async def close(self) -> None:
        """Close the connections."""


def open_publisher(settings: ChassisSettings) -> JobPublisher:
    """Return the publisher for the relay of an outbox. It connects when first used."""
    return publisher_to(settings.jobs_url)


def publisher_to(url: Url, as_message: AsMessage = message_of) -> JobPublisher:
    """Return the publisher to a broker: RabbitMQ for amqp://…, Valkey for redis://….

    As a rule the topic of an event is the queue and names the actor too; `as_message` may say otherwise.
    """
    if current(url).startswith("amqp"):
        return RabbitmqPublisher(url, as_message)
    return DramatiqPublisher(make_broker(url), as_message)


class DramatiqPublisher:
    """Publishes through Dramatiq's own broker, which blocks."""

    def __init__(self, broker: dramatiq.Broker, as_message: AsMessage = message_of) -> None:
        self._broker = broker
        self._as_message = as_message
        # One thread: the broker's client blocks, and events of a key stay in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publish")

    async def publish(self, events: Sequence[Event]) -> None:
        """See JobPublisher."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._enqueue, events)

    def _enqueue(self, events: Sequence[Event]) -> None:
        for event in events:
            self._broker.declare_queue(event.topic)
            self._broker.enqueue(self._as_message(event))

    async def close(self) -> None:
        """See JobPublisher."""
        await asyncio.to_thread(self._thread.shutdown)
        self._broker.close()


async def run_worker(broker: dramatiq.Broker, threads: int) -> None:
    """Run the broker's actors until SIGTERM or SIGINT; `threads` jobs at once.

    The worker runs in this very process, not in children of a master: a supervisor starts a dead one again, which
    Dramatiq's own master would not do.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    set_event_loop_thread(_RunningLoop(asyncio.get_running_loop()))
    worker = dramatiq.Worker(broker, worker_threads=threads)
    worker.start()
    garbage.settle()
    _log.info("working", queues=sorted(broker.get_declared_queues()), threads=threads)
    try:
        await stop.wait()
    finally:
        await asyncio.to_thread(worker.stop, _STOP_MS)
        await asyncio.to_thread(broker.close)
    _log.info("stopped")
