"""Background jobs: Dramatiq on Valkey, tuned so that nothing is lost.

Each setting closes a way in which Dramatiq's defaults lose or strand messages.
"""

import asyncio
import logging
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dramatiq
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware, Retries, ShutdownNotifications, TimeLimit

from services.chassis import garbage, logs
from services.chassis.outbox import Event

_log = logs.get(__name__)
# Messages of a killed worker come back after its heartbeat is this old ...
_HEARTBEAT_TIMEOUT_MS = 5_000
# ... and one command in fifty looks for them (the default of one in a thousand leaves them for minutes).
_MAINTENANCE_CHANCE = 20_000
_TIME_LIMIT_MS = 15 * 60 * 1000
_STOP_MS = 8_000


class SafeRetries(Retries):
    """Retries that cannot lose a message.

    Dramatiq swallows an exception in `after_process_message` and then acknowledges: when the broker is away just as the
    retry is to be stored, the message would be gone. Failing it keeps it.
    """

    def after_process_message(
        self, broker: dramatiq.Broker, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        try:
            super().after_process_message(  # type: ignore[no-untyped-call]
                broker, message, result=result, exception=exception
            )
        except Exception:
            message.fail()
            raise


class _RunningLoop(EventLoopThread):
    """Runs async actors on the loop that already runs, where the process has its pools and channels."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(logging.getLogger(__name__))
        self.loop.close()
        self.loop = loop


def make_broker(valkey_url: str) -> RedisBroker:
    """Return the broker for actors and for publishing. It connects when first used."""
    middleware: list[Middleware] = [
        TimeLimit(time_limit=_TIME_LIMIT_MS),
        ShutdownNotifications(notify_shutdown=True),
        SafeRetries(max_retries=8, min_backoff=500, max_backoff=60_000),
    ]
    return RedisBroker(  # type: ignore[no-untyped-call]
        url=valkey_url,
        middleware=middleware,
        heartbeat_timeout=_HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=_MAINTENANCE_CHANCE,
    )


class DramatiqPublisher:
    """Publishes outbox events as Dramatiq messages: the topic is the queue and names the actor too."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        # One thread: the broker's client blocks, and events of a key stay in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publish")

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand the events to the broker in their order. Raises when it has not taken all of them."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._enqueue, events)

    def _enqueue(self, events: Sequence[Event]) -> None:
        for event in events:
            self._broker.declare_queue(event.topic)
            self._broker.enqueue(
                dramatiq.Message(
                    queue_name=event.topic,
                    actor_name=event.topic,
                    args=(),
                    kwargs=event.payload,
                    options={},
                    message_id=str(event.event_id),
                )
            )

    def close(self) -> None:
        """Close the connections."""
        self._thread.shutdown(wait=True)
        self._broker.close()


async def run_worker(broker: RedisBroker, threads: int) -> None:
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
