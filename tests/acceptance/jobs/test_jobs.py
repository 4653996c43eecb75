"""Jobs, from an event to a worker process: the same promises over a real Valkey and a real RabbitMQ."""

import asyncio
import os
import re
import signal
from collections.abc import Sequence
from uuid import uuid4

import pytest
from dramatiq.common import current_millis

from services.chassis.job_middleware import MOST_BEGUN
from services.chassis.jobs import make_broker, publisher_to
from services.chassis.outbox import Event
from services.chassis.rabbitmq import message_of
from tests.acceptance.jobs.conftest import Jobs
from tests.acceptance.jobs.worker import DONE
from tests.support.stores import free_port

_TRACE = "0af7651916cd43dd8448eb211c80319c"


def event(topic: str, number: int, **headers: str) -> Event:
    return Event(uuid4(), topic, f"key-{number}", {"n": number}, headers)


async def _all_done(jobs: Jobs, actor: str, wanted: set[str]) -> None:
    """Wait until all of it is done, however often."""
    while wanted:
        wanted.discard(await jobs.next(actor))


async def _publish(jobs: Jobs, events: Sequence[Event]) -> None:
    """Publish as the relay does: again and again until the broker has taken all of it."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with asyncio.timeout(10):
                    await jobs.publisher.publish(events)
                return
            except Exception:
                await asyncio.sleep(0.2)


async def test_an_event_becomes_a_job(jobs: Jobs) -> None:
    with jobs.working():
        await jobs.publisher.publish([event("steady", number) for number in range(20)])
        await _all_done(jobs, "steady", {f"steady {number}" for number in range(20)})


async def test_a_failed_job_is_tried_again(jobs: Jobs) -> None:
    with jobs.working():
        await jobs.publisher.publish([event("flaky", 1)])
        assert await jobs.next("flaky") == "flaky 1 after 2"


async def test_a_job_goes_on_with_the_trace_of_its_event(jobs: Jobs) -> None:
    with jobs.working():
        await jobs.publisher.publish([event("traced", 1, traceparent=f"00-{_TRACE}-b7ad6b7169203331-01")])
        assert await jobs.next("traced") == f"traced 1 {_TRACE}"
        await jobs.publisher.publish([event("traced", 2)])
        assert re.fullmatch(r"traced 2 [0-9a-f]{32}", await jobs.next("traced"))


async def test_a_job_that_a_stopping_worker_drops_is_done_by_the_next_one(jobs: Jobs) -> None:
    with jobs.working():
        await jobs.publisher.publish([event("long", 1)])
        assert await jobs.next("long") == "long 1 begun"
    with jobs.working():
        assert [await jobs.next("long"), await jobs.next("long")] == ["long 1 begun", "long 1 ended"]


async def test_events_wait_for_a_worker(jobs: Jobs) -> None:
    await jobs.publisher.publish([event("steady", 99)])
    with jobs.working():
        await _all_done(jobs, "steady", {"steady 99"})


async def test_a_killed_worker_costs_no_job(jobs: Jobs) -> None:
    numbers = range(300)
    await jobs.publisher.publish([event("slow", number) for number in numbers])
    killed = jobs.start_worker()
    first = [await jobs.next("slow") for _ in range(20)]
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    with jobs.working():
        await _all_done(jobs, "slow", {f"slow {number}" for number in numbers} - set(first))


async def test_a_killed_broker_costs_no_job_that_it_had_taken(jobs: Jobs) -> None:
    taken: list[int] = []

    async def publishing() -> None:
        for start in range(0, 400, 20):
            await _publish(jobs, [event("slow", number) for number in range(start, start + 20)])
            taken.extend(range(start, start + 20))

    with jobs.working():
        publisher = asyncio.create_task(publishing())
        first = [await jobs.next("slow") for _ in range(30)]
        jobs.broker.kill()
        jobs.broker.start()
        await publisher
        await _all_done(jobs, "slow", {f"slow {number}" for number in taken} - set(first))
    assert len(taken) == 400


async def test_a_retry_that_cannot_be_stored_is_not_lost(jobs: Jobs) -> None:
    """Dramatiq acknowledges a failed job even when its retry was not taken: SafeRetries does not."""
    worker = jobs.start_worker()
    try:
        await jobs.publisher.publish([event("held", 1)])
        assert await jobs.next("held") == "held 1 begun 1"
        jobs.broker.kill()
        await jobs.notes.rpush("trial:let-go", "")
        # The broker comes back only once the worker has failed to store the retry.
        async with asyncio.timeout(60):
            while "Unexpected failure in after_process_message" not in jobs.log.read_text():
                await asyncio.sleep(0.05)
        jobs.broker.start()
        # It is done again, or it is a dead letter: either way it is there. An earlier test's job may be done once more.
        async with asyncio.timeout(60):
            while "held 1 begun 2" not in await jobs.notes.lrange(DONE, 0, -1) and not jobs.dead("held"):
                await asyncio.sleep(0.1)
    finally:
        worker.kill()
        worker.wait()


async def test_a_job_that_always_fails_becomes_a_dead_letter(jobs: Jobs) -> None:
    with jobs.working():
        await jobs.publisher.publish([event("poison", 1)])
        for _ in range(3):
            assert await jobs.next("poison") == "poison 1"
        async with asyncio.timeout(30):
            while jobs.dead("poison") != 1:
                await asyncio.sleep(0.1)


async def test_a_job_that_kills_its_worker_becomes_a_dead_letter_and_the_worker_is_free(jobs: Jobs) -> None:
    await jobs.publisher.publish([event("deadly", 1)])
    with jobs.working("keep"):
        async with asyncio.timeout(300):
            while jobs.dead("deadly") != 1:
                await asyncio.sleep(0.2)
        # An earlier test's job may be done once more beside it.
        begun = [note for note in map(str, await jobs.notes.lrange(DONE, 0, -1)) if note.startswith("deadly")]
        assert begun == ["deadly 1"] * MOST_BEGUN
        await jobs.publisher.publish([event("steady", number) for number in range(5)])
        await _all_done(jobs, "steady", {f"steady {number}" for number in range(5)})
        assert jobs.dead("deadly") == 1


async def test_a_delayed_job_outlives_its_worker(jobs: Jobs) -> None:
    broker = make_broker(jobs.broker.url)
    broker.declare_queue("steady")
    with jobs.working():
        await jobs.publisher.publish([event("steady", 6)])
        assert await jobs.next("steady") == "steady 6"
        # A worker that stands by takes it, and holds it until it is due.
        due = current_millis() + 5000
        await asyncio.to_thread(broker.enqueue, message_of(event("steady", 7)), delay=5000)
        broker.close()
    with jobs.working():
        await _all_done(jobs, "steady", {"steady 7"})
    assert current_millis() >= due


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_publishing_to_a_broker_that_is_away_fails(scheme: str) -> None:
    publisher = publisher_to(f"{scheme}://127.0.0.1:{free_port()}/")
    with pytest.raises(Exception, match=r"(?i)connect"):
        await publisher.publish([event("steady", 1)])
    await publisher.close()
