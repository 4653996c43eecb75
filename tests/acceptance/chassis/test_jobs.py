"""Jobs, from an event to a worker process, over a real Valkey."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import dramatiq
import pytest
from dramatiq.broker import MessageProxy
from dramatiq.errors import BrokerConnectionError
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ValkeyConnectionError

from services.chassis.jobs import DramatiqPublisher, SafeRetries, make_broker
from services.chassis.outbox import Event
from tests.acceptance.chassis.worker import DONE
from tests.support.stores import free_port, running_valkey

_ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def queue_url() -> Iterator[str]:
    """A Valkey of its own: the worker looks at every queue it knows."""
    with running_valkey() as url:
        yield url


@pytest.fixture
async def done(queue_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(queue_url, decode_responses=True)
    yield client
    await client.aclose()


@contextmanager
def _working(url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "tests.acceptance.chassis.worker", url], cwd=_ROOT)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def worker(queue_url: str) -> Iterator[subprocess.Popen[bytes]]:
    with _working(queue_url) as process:
        yield process


@pytest.fixture
def publisher(queue_url: str) -> Iterator[DramatiqPublisher]:
    publisher = DramatiqPublisher(make_broker(queue_url))
    yield publisher
    publisher.close()


def _event(topic: str, number: int) -> Event:
    return Event(uuid4(), topic, "key", {"n": number})


async def _next(done: Redis) -> str:
    found = await done.blpop([DONE], timeout=30)
    assert found, "the worker did nothing"
    return str(found[1])


async def test_an_event_becomes_a_job(
    worker: subprocess.Popen[bytes], publisher: DramatiqPublisher, done: Redis
) -> None:
    await publisher.publish([_event("steady", number) for number in range(20)])
    assert {await _next(done) for _ in range(20)} == {f"steady {number}" for number in range(20)}


async def test_a_failed_job_is_tried_again(
    worker: subprocess.Popen[bytes], publisher: DramatiqPublisher, done: Redis
) -> None:
    await publisher.publish([_event("flaky", 1)])
    assert await _next(done) == "flaky 1 after 2"


async def test_a_job_that_a_stopping_worker_drops_is_done_by_the_next_one(
    queue_url: str, publisher: DramatiqPublisher, done: Redis
) -> None:
    with _working(queue_url):
        await publisher.publish([_event("long", 1)])
        assert await _next(done) == "long 1 begun"
    with _working(queue_url):
        assert [await _next(done), await _next(done)] == ["long 1 begun", "long 1 ended"]


async def test_events_wait_for_a_worker(queue_url: str, publisher: DramatiqPublisher, done: Redis) -> None:
    await publisher.publish([_event("steady", 99)])
    with _working(queue_url):
        assert await _next(done) == "steady 99"


async def test_publishing_to_a_broker_that_is_away_fails(queue_url: str) -> None:
    publisher = DramatiqPublisher(make_broker(f"redis://127.0.0.1:{free_port()}/0"))
    with pytest.raises(ValkeyConnectionError):
        await publisher.publish([_event("steady", 1)])
    publisher.close()


def test_a_message_whose_retry_cannot_be_stored_is_kept() -> None:
    broker = make_broker(f"redis://127.0.0.1:{free_port()}/0")

    async def job() -> None:
        return None

    dramatiq.actor(actor_name="job", queue_name="job", broker=broker)(job)
    message = MessageProxy(dramatiq.Message("job", "job", (), {}, {}))
    with pytest.raises((BrokerConnectionError, ValkeyConnectionError)):
        SafeRetries(max_retries=3, min_backoff=1).after_process_message(
            broker, message, exception=RuntimeError("the job failed")
        )
    # A failed message is moved to the dead letters; one that is not would be acknowledged and be gone.
    assert message.failed
    broker.close()
