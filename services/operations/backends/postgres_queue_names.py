"""The names of the queues that workers have declared."""

import asyncio
from collections.abc import Iterable

import dramatiq
from dramatiq.middleware import Middleware
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert

from services.chassis.database import Database
from services.chassis.events.rabbitmq_bus import queue_of
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.supervision import keep_running
from services.operations.backends.tables import QUEUE


class PostgresQueueNames:
    """Remembers queues for those who cannot ask the broker for them."""

    def __init__(self, database: Database, always: Iterable[str]) -> None:
        self._database = database
        self._always = frozenset(always)

    async def names(self) -> set[str]:
        """Return every queue that is known."""
        async with self._database.autocommit() as connection:
            return {*self._always, *(await connection.scalars(select(QUEUE.c.name)))}

    async def remember(self, names: Iterable[str]) -> None:
        """Remember queues."""
        rows = [{"name": name} for name in sorted(names)]
        if rows:
            async with self._database.transaction() as connection:
                await connection.execute(postgres_insert(QUEUE).on_conflict_do_nothing(), rows)


class RememberQueues(Middleware):
    """Remembers the queues of a worker when it starts; all capabilities have declared theirs by then.

    Those of the groups that listen to events too: RabbitMQ dead-letters what took too many of their members down.
    """

    def __init__(self, queues: PostgresQueueNames, subscriptions: Subscriptions) -> None:
        self._queues = queues
        self._subscriptions = subscriptions
        self._task: asyncio.Task[None] | None = None

    def after_worker_boot(self, broker: dramatiq.Broker, _worker: dramatiq.Worker) -> None:
        """Begin to write them down, on the loop that runs the worker."""
        groups = {queue_of(topic, group) for topic, group in self._subscriptions.groups}
        names = groups | set(broker.get_declared_queues())
        self._task = asyncio.get_running_loop().create_task(
            keep_running("queue names", lambda: self._queues.remember(names))
        )
