"""What Prometheus is told of background jobs, by a real worker of Dramatiq's on its broker in memory."""

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from services.chassis import metrics
from services.chassis.job_middleware import Metering, SafeRetries
from tests.support.scrapes import Scrape, scraped
from tests.support.stores import free_port

_COUNT = "messaging_process_duration_seconds_count"


async def _told() -> Scrape:
    port = free_port()
    async with metrics.exposed(f"127.0.0.1:{port}"):
        return await scraped(port)


@pytest.mark.parametrize(
    ("failures", "outcomes"),
    [
        (0, {"succeeded": 1, "retried": 0, "dead_lettered": 0}),
        (1, {"succeeded": 1, "retried": 1, "dead_lettered": 0}),
        (9, {"succeeded": 0, "retried": 2, "dead_lettered": 1}),
    ],
)
async def test_jobs_are_counted_by_what_became_of_them(failures: int, outcomes: dict[str, int]) -> None:
    queue, left = f"trial-{failures}", [failures]
    broker = StubBroker(middleware=[Metering(), SafeRetries(max_retries=2, min_backoff=1, max_backoff=1)])

    def job() -> None:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("not this time")

    actor = dramatiq.actor(actor_name=queue, queue_name=queue, broker=broker)(job)
    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    try:
        actor.send()
        broker.join(queue, timeout=60_000, fail_fast=False)
        worker.join()
    finally:
        worker.stop()
        broker.close()
    told = await _told()
    for outcome, count in outcomes.items():
        assert told.value(_COUNT, messaging_destination_name=queue, outcome=outcome) == count, outcome
