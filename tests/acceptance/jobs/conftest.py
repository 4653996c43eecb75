"""The brokers of jobs, each with its own publisher and workers."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pika
import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from services.chassis.jobs import publisher_to
from tests.acceptance.jobs.worker import DONE
from tests.support.brokers import RunningBroker, running_rabbitmq, running_valkey_broker
from tests.support.polling import until

_ROOT = Path(__file__).parents[3]


@dataclass
class Jobs:
    """A broker with what tests do to it."""

    broker: RunningBroker
    notes_url: str
    log: Path
    notes: Redis = field(init=False)

    def __post_init__(self) -> None:
        self.publisher = publisher_to(self.broker.url)
        self.notes = Redis.from_url(self.notes_url, decode_responses=True, socket_timeout=None)

    def start_worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker process; with the option `keep` one after the other."""
        command = [sys.executable, "-m", "tests.acceptance.jobs.worker", self.broker.url, self.notes_url, *options]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=_ROOT, stdout=log, stderr=log)

    @contextmanager
    def working(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Have a worker, which must stop in good order at the end."""
        said = self.log.stat().st_size if self.log.exists() else 0
        process = self.start_worker(*options)
        try:
            yield process
            # Another worker may have done what is waited for, and this one be at its start, where a signal ends it.
            until(lambda: "working" in self.log.read_text()[said:], seconds=60, what="a worker that works")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()

    async def next(self, actor: str) -> str:
        """Return what the workers did next in an actor. They may do a job of an earlier test once more."""
        while True:
            found = await self.notes.blpop([DONE], timeout=120)
            assert found, "the worker did nothing"
            if str(found[1]).startswith(actor):
                return str(found[1])

    def dead(self, queue: str) -> int:
        """Return how many dead letters a queue has."""
        if self.broker.url.startswith("redis"):
            with BlockingRedis.from_url(self.broker.url) as client:
                return int(client.zcard(f"dramatiq:{queue}.XQ"))
        connection = pika.BlockingConnection(pika.URLParameters(self.broker.url))
        try:
            declared = connection.channel().queue_declare(f"{queue}.XQ", passive=True)
            return int(declared.method.message_count)
        finally:
            connection.close()


_STARTS = {"valkey": running_valkey_broker, "rabbitmq": running_rabbitmq}


@pytest.fixture(scope="module", params=sorted(_STARTS))
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A broker of its own: the worker looks at every queue it knows."""
    start: AbstractContextManager[RunningBroker] = _STARTS[request.param](tmp_path_factory.mktemp(request.param))
    with start as running:
        yield running


@pytest.fixture
async def jobs(broker: RunningBroker, valkey_url: str, tmp_path: Path) -> AsyncIterator[Jobs]:
    """The broker, running, with nothing noted."""
    broker.start()
    jobs = Jobs(broker, valkey_url, tmp_path / "worker.log")
    for key in await jobs.notes.keys("trial:*"):
        await jobs.notes.delete(key)
    yield jobs
    await jobs.publisher.close()
    await jobs.notes.aclose()
