"""Calls whose jobs fail for good: they lie on the desk of operators, and a replay lets the answer go on."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from services.chassis.identifiers import new_id
from services.chassis.jobs import publisher_to
from services.chassis.outbox import Event
from services.chassis.resources import open_valkey
from services.conversations.rules import Run, RunState, ToolRequest
from services.operations.backends.outbox_jobs import job_message
from services.operations.backends.rabbitmq_dead_letters import RabbitmqDeadLetters
from services.operations.backends.valkey_dead_letters import ValkeyDeadLetters
from services.operations.operations.archive_dead_letters import ArchiveDeadLetters
from services.operations.ports import DeadLetterSource
from services.operations.rules import DeadLetter, LetterFilter
from services.tools.jobs import QUEUE
from tests.acceptance.conversations.bot_with_tools import BotWithTools, results
from tests.acceptance.operations.conftest import Desk, desk, desk_url  # noqa: F401 - fixtures
from tests.support.brokers import RunningBroker, running_rabbitmq, running_valkey_broker
from tests.support.callers import eventually
from tests.support.served import SECRET

_ROOT = Path(__file__).parents[3]
_STARTS = {"valkey": running_valkey_broker, "rabbitmq": running_rabbitmq}


@dataclass
class Post:
    """A broker with a worker of `tools`, and the desk that looks at its dead letters."""

    desk: Desk
    broker: RunningBroker
    environment: dict[str, str]
    log: Path

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run a worker."""
        command = [sys.executable, "-m", "tests.acceptance.tools.worker"]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, cwd=_ROOT, env=self.environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)

    async def send(self, call_id: object) -> None:
        """Nudge the worker, as the relay does."""
        publisher = publisher_to(self.broker.url)
        await publisher.publish([Event(new_id(), QUEUE, str(call_id), {"call_id": str(call_id)}, {})])
        await publisher.close()

    async def dead(self) -> DeadLetter:
        """Return the letter of the job that failed for good, once it is archived."""
        url = self.broker.url

        async def queues() -> list[str]:
            return [QUEUE]

        source: DeadLetterSource = (
            RabbitmqDeadLetters(url, queues) if url.startswith("amqp") else ValkeyDeadLetters(open_valkey(url))
        )
        letters: list[DeadLetter] = []

        async def is_there() -> bool:
            await ArchiveDeadLetters(self.desk.transactions, source).archive()
            letters[:] = (await self.desk.letters.page(LetterFilter(), 10, ""))[0]
            return bool(letters)

        await eventually(is_there, seconds=90, what=f"a dead letter ({self.log.read_text()[-2000:]})")
        await source.close()
        ((letter),) = letters
        return letter

    @asynccontextmanager
    async def replaying(self) -> AsyncIterator[None]:
        """Hand what the desk replays to the broker."""
        publisher = publisher_to(self.broker.url, job_message)
        relay = asyncio.create_task(self.desk.outbox.relay(publisher.publish))
        yield
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
        await publisher.close()


@pytest.fixture(scope="module", params=sorted(_STARTS))
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    start: AbstractContextManager[RunningBroker] = _STARTS[request.param](tmp_path_factory.mktemp(request.param))
    with start as running:
        yield running


@pytest.fixture
def post(
    desk: Desk,  # noqa: F811 - a fixture
    broker: RunningBroker,
    bot: BotWithTools,
    valkey: Redis,
    postgres_url: str,
    valkey_url: str,
    tmp_path: Path,
) -> Post:
    settings = {
        "HOME": tmp_path / "worker",
        "SECRET": SECRET,
        "DATABASE_URL": postgres_url,
        "VALKEY_URL": valkey_url,
        "BROKER_URL": broker.url,
        "TOOLS_EGRESS_EXCEPTIONS": json.dumps([f"127.0.0.1:{bot.workshop.port}"]),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    environment |= {f"PARLEY_{name}": str(value) for name, value in settings.items()}
    return Post(desk, broker, environment, tmp_path / "worker.log")


@asynccontextmanager
async def refusing(bot: BotWithTools, call_id: UUID) -> AsyncIterator[None]:
    """Let the store refuse every change of a call."""
    statements = (
        (
            "CREATE FUNCTION tools.refuse() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE EXCEPTION 'the store is broken'; END $$"
        ),
        (
            "CREATE TRIGGER refusing BEFORE UPDATE ON tools.call FOR EACH ROW "
            f"WHEN (OLD.id = '{call_id}') EXECUTE FUNCTION tools.refuse()"
        ),
    )
    async with bot.workshop.database.transaction() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    yield
    async with bot.workshop.database.transaction() as connection:
        await connection.execute(text("DROP FUNCTION tools.refuse CASCADE"))


async def call_of(bot: BotWithTools, run: Run) -> UUID:
    """Return the call of a run once it is asked for."""
    found: list[UUID] = []

    async def is_there() -> bool:
        query = text("SELECT id FROM tools.call WHERE run_id = :run_id")
        async with bot.workshop.database.autocommit() as connection:
            found[:] = [UUID(str(one)) for one in await connection.scalars(query, {"run_id": run.run_id})]
        return bool(found)

    await eventually(is_there, seconds=60, what="the call of the run")
    return found[0]


async def test_a_call_that_could_not_be_taken_up_is_replayed_and_the_answer_goes_on(
    post: Post, bot: BotWithTools
) -> None:
    tool = await bot.tool("/order")
    bot.seconds = 300.0
    bot.house.model.script = lambda said: (
        ["Done: ", *results(said)] if results(said) else [ToolRequest("a", tool.name, "{}")]
    )
    run = await bot.asked()
    answering = asyncio.create_task(bot.answers.answer(run.conversation_id))
    call_id = await call_of(bot, run)
    with post.working():
        async with refusing(bot, call_id):
            await post.send(call_id)
            letter = await post.dead()
        assert (letter.message.queue, json.loads(letter.message.payload)) == (QUEUE, {"call_id": str(call_id)})
        assert "the store is broken" in letter.message.traceback
        assert letter.message.attempts == 2
        assert not answering.done()
        assert bot.workshop.seen.requests == []
        async with post.replaying():
            await post.desk.replays.one(letter.letter_id, "ann")
            await answering
    ended = await bot.house.runs.get(bot.owner, run.conversation_id, run.run_id)
    assert ended.state is RunState.SUCCEEDED
    assert len(bot.workshop.seen.requests) == 1


async def test_a_job_that_cannot_be_read_is_a_dead_letter_and_holds_nobody_up(post: Post, bot: BotWithTools) -> None:
    tool = await bot.tool("/order")
    bot.house.model.script = lambda said: (
        ["Done: ", *results(said)] if results(said) else [ToolRequest("a", tool.name, "{}")]
    )
    run = await bot.asked()
    answering = asyncio.create_task(bot.answers.answer(run.conversation_id))
    call_id = await call_of(bot, run)
    with post.working():
        await post.send("no call's id")
        await post.send(call_id)
        await answering
        letter = await post.dead()
    assert json.loads(letter.message.payload) == {"call_id": "no call's id"}
    assert letter.message.error.startswith("ValueError")
    assert (await bot.events(run))[-1].kind == "completed"
