"""The queues that a worker has declared are known to those who cannot ask the broker."""

import asyncio

import dramatiq

from services.chassis.events.subscriptions import Subscriptions
from services.chassis.jobs import make_broker, publisher_to
from services.chassis.outbox import Event
from services.operations.backends.postgres_queue_names import PostgresQueueNames, RememberQueues
from tests.acceptance.operations.conftest import Desk
from tests.support.callers import eventually


async def test_a_worker_that_starts_tells_its_queues(desk: Desk, valkey_url: str) -> None:
    names = PostgresQueueNames(desk.database, ["always"])
    assert await names.names() == {"always"}
    broker = make_broker(valkey_url)
    subscriptions = Subscriptions(publisher_to(valkey_url))
    subscriptions.add("user_paid", "mail", _nothing)
    broker.add_middleware(RememberQueues(names, subscriptions))
    for queue in ("first", "second"):
        dramatiq.actor(actor_name=queue, queue_name=queue, broker=broker)(lambda: None)
    for _ in range(2):  # a second worker knows them already
        worker = dramatiq.Worker(broker, worker_threads=1)
        worker.start()

        async def known() -> bool:
            return await names.names() == {"always", "first", "second", "user_paid.mail"}

        await eventually(known, seconds=10, what="the queues of the worker")
        await asyncio.to_thread(worker.stop)
    broker.close()
    await subscriptions.close()


async def _nothing(_event: Event) -> None:
    pass
