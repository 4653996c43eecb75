"""Both sources of dead letters, held against one suite: real brokers, a real worker, kills in between."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dramatiq
import pytest
from aio_pika.exceptions import AMQPError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis.jobs import make_broker, publisher_to
from services.chassis.resources import open_valkey
from services.operations.backends.outbox_jobs import job_message
from services.operations.backends.rabbitmq_dead_letters import RabbitmqDeadLetters
from services.operations.backends.valkey_dead_letters import ValkeyDeadLetters
from services.operations.operations.archive_dead_letters import ArchiveDeadLetters
from services.operations.ports import DeadLetterSource
from services.operations.rules import DeadLetter, FailedMessage, LetterFilter, LetterState
from tests.acceptance.operations.conftest import Desk
from tests.acceptance.operations.worker import DONE
from tests.support.brokers import RunningBroker, running_rabbitmq, running_valkey_broker
from tests.support.callers import eventually

_ROOT = Path(__file__).parents[3]
_STARTS = {"valkey": running_valkey_broker, "rabbitmq": running_rabbitmq}
# aiormq says RuntimeError of a connection that has died without a word.
_AWAY = (ConnectionError, RedisError, AMQPError, RuntimeError)
_QUEUES = ("brittle", "nobody", "never-declared")


@dataclass
class Post:
    """A broker, and the desk that looks at its dead letters."""

    desk: Desk
    broker: RunningBroker
    notes: Redis
    log: Path

    def __post_init__(self) -> None:
        self.source = self.open_source()
        self.archive = ArchiveDeadLetters(self.desk.transactions, self.source)
        self.jobs = make_broker(self.broker.url)
        self.thread = ThreadPoolExecutor(1)

    def open_source(self) -> DeadLetterSource:
        async def queues() -> list[str]:
            return list(_QUEUES)

        url = self.broker.url
        return RabbitmqDeadLetters(url, queues) if url.startswith("amqp") else ValkeyDeadLetters(open_valkey(url))

    async def send(self, number: int, *, actor: str = "brittle", queue: str = "brittle", **arguments: object) -> str:
        message: dramatiq.Message[None] = dramatiq.Message(
            queue, actor, (), {"number": number, **arguments}, {"traceparent": f"00-{number:032x}-{1:016x}-01"}
        )
        self.jobs.declare_queue(queue)
        # One thread: pika opens a connection a thread.
        await asyncio.get_running_loop().run_in_executor(self.thread, self.jobs.enqueue, message)
        return message.message_id

    @contextmanager
    def working(self) -> Iterator[None]:
        command = [sys.executable, "-m", "tests.acceptance.operations.worker", self.broker.url, _url(self.notes)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, cwd=_ROOT, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)

    async def waiting(self, count: int = 1) -> bool:
        """Whether so many dead messages wait in the broker."""
        with contextlib.suppress(_LookedOnly):
            async with self.source.taken(1000) as messages:
                found = len(messages)
                raise _LookedOnly
        return found >= count

    async def letters(self, **chosen: object) -> list[DeadLetter]:
        await self.archive.archive()
        found: list[DeadLetter] = []
        token = ""
        while not found or token:
            page, token = await self.desk.letters.page(LetterFilter(**chosen), 200, token)  # type: ignore[arg-type]
            found += page
            if not page:
                break
        return found

    async def until_dead(self, count: int, **chosen: object) -> list[DeadLetter]:
        async def there() -> bool:
            return len(await self.letters(**chosen)) >= count

        await eventually(there, seconds=60, what=f"{count} dead letters")
        found = await self.letters(**chosen)
        assert len(found) == count
        return found


async def _take_and_die(source: DeadLetterSource, how: Exception) -> None:
    async with source.taken(10) as messages:
        assert len(messages) == 1
        raise how


class _LookedOnly(Exception):
    """Keeps the messages in the broker."""


@dataclass
class _Dying:
    """A source whose process dies before the broker forgets."""

    source: DeadLetterSource

    @asynccontextmanager
    async def taken(self, limit: int) -> AsyncIterator[Sequence[FailedMessage]]:
        async with self.source.taken(limit) as messages:
            yield messages
            raise RuntimeError("killed")

    async def close(self) -> None:
        await self.source.close()


def _url(notes: Redis) -> str:
    where = notes.connection_pool.connection_kwargs
    return f"redis://{where['host']}:{where['port']}/{where['db']}"


@pytest.fixture(scope="module", params=sorted(_STARTS))
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    start: AbstractContextManager[RunningBroker] = _STARTS[request.param](tmp_path_factory.mktemp(request.param))
    with start as running:
        yield running


@pytest.fixture
async def post(desk: Desk, broker: RunningBroker, valkey: Redis, tmp_path: Path) -> AsyncIterator[Post]:
    broker.start()
    await valkey.delete(DONE)
    post = Post(desk, broker, valkey, tmp_path / "worker.log")
    async with post.source.taken(1000):
        pass  # what another test left
    yield post
    await post.source.close()
    post.thread.shutdown()
    post.jobs.close()


async def test_a_message_that_failed_for_good_lands_on_the_desk_with_its_story(post: Post) -> None:
    message_id = await post.send(7, fails=True, organization_id="org-1")
    with post.working():
        (letter,) = await post.until_dead(1)
    message = letter.message
    assert (letter.state, letter.failures) == (LetterState.OPEN, 1)
    assert (message.queue, message.actor, message.message_id) == ("brittle", "brittle", message_id)
    assert json.loads(message.payload) == {"number": 7, "fails": True, "organization_id": "org-1"}
    assert message.organization_id == "org-1"
    assert message.trace_id == f"{7:032x}"
    # The actor takes no organisation: that, too, is a failure which the traceback tells of.
    assert message.error.startswith("TypeError: ")
    assert "Traceback" in message.traceback
    assert message.attempts == 2
    assert message.sent_at <= message.failed_at


async def test_what_is_archived_has_left_the_broker(post: Post) -> None:
    for number in range(250):
        await post.send(number, actor="unknown")
    with post.working():
        await post.until_dead(250)
    async with post.source.taken(10) as rest:
        assert list(rest) == []
    assert all(letter.message.attempts == 0 and letter.message.error for letter in await post.letters())


async def test_an_archiver_that_dies_before_it_has_stored_loses_nothing(post: Post) -> None:
    await post.send(1, actor="unknown")
    with post.working():
        await eventually(post.waiting, seconds=30, what="a dead message")
    killed = RuntimeError("killed")
    with pytest.raises(RuntimeError) as raised:
        await _take_and_die(post.source, killed)
    assert raised.value is killed
    assert len(await post.until_dead(1)) == 1


async def test_an_archiver_that_dies_after_it_has_stored_doubles_nothing(post: Post) -> None:
    await post.send(1, actor="unknown")
    with post.working():
        await eventually(post.waiting, seconds=30, what="a dead message")
    dying = ArchiveDeadLetters(post.desk.transactions, _Dying(post.source))
    with pytest.raises(RuntimeError, match="killed"):
        await dying.archive()
    (letter,) = await post.letters()
    assert (letter.failures, letter.version) == (1, 1)


async def test_two_archivers_at_once_double_nothing(post: Post) -> None:
    for number in range(60):
        await post.send(number, actor="unknown")
    other = post.open_source()
    try:
        with post.working():
            for _ in range(30):
                await asyncio.gather(
                    post.archive.archive(), ArchiveDeadLetters(post.desk.transactions, other).archive()
                )
            found = await post.until_dead(60)
    finally:
        await other.close()
    assert {letter.failures for letter in found} == {1}


async def test_a_replayed_message_is_done_and_one_that_fails_again_comes_back(post: Post) -> None:
    good, bad = await post.send(1, fails=True), await post.send(2, fails=True)
    publisher = publisher_to(post.broker.url, job_message)
    with post.working():
        letters = {letter.message.message_id: letter for letter in await post.until_dead(2)}
        mended = letters[good]
        await post.desk.letters.update(mended.letter_id, '{"number": 1}', "", [], "ann")
        for letter in letters.values():
            await post.desk.replays.one(letter.letter_id, "ann")
        relay = asyncio.create_task(post.desk.outbox.relay(publisher.publish))
        found = await post.notes.blpop([DONE], timeout=30)
        assert found == (DONE.encode(), b"1")
        (again,) = await post.until_dead(1, state=LetterState.OPEN)
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
        await publisher.close()
    assert (again.letter_id, again.message.message_id, again.failures) == (letters[bad].letter_id, bad, 2)
    assert again.message.attempts == 2, "its retries began anew"
    assert again.first_failed_at < again.message.failed_at or again.message.failed_at.microsecond == 0
    done = await post.desk.letters.get(mended.letter_id)
    assert (done.state, done.closed_by) == (LetterState.REPLAYED, "ann")
    assert await post.notes.llen(DONE) == 0


async def test_a_broker_that_dies_keeps_what_was_not_archived(post: Post) -> None:
    for number in range(20):
        await post.send(number, actor="unknown")
    with post.working():
        await eventually(lambda: post.waiting(20), seconds=30, what="twenty dead messages")
    await asyncio.to_thread(post.broker.kill)
    with pytest.raises(_AWAY):
        await post.archive.archive()
    await asyncio.to_thread(post.broker.start)

    async def archived() -> bool:
        try:
            return len(await post.letters()) == 20
        except _AWAY:
            return False

    await eventually(archived, seconds=60, what="the letters after a restart of the broker")
