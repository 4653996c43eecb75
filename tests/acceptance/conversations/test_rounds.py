"""The rounds of calls of a run: stored with it, never asked for again, and done once whoever goes on with them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import grpc
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.heartbeat import LeaseLost
from services.chassis.owners import Who, owner_of
from services.conversations.backends.mesh_tools import MeshTools
from services.conversations.operations.answer_messages import AnswerMessages
from services.conversations.operations.converse import Converse, ToolLimits
from services.conversations.ports import PLAIN, Claim, Persona
from services.conversations.rules import CallState, Context, PromptMessage, Run, RunEvent, RunState, ToolRequest
from services.tools.rules import Tool
from tests.acceptance.tools.conftest import House as Workshop
from tests.acceptance.tools.servers import Seen, serving, web
from tests.support.callers import eventually
from tests.support.house import House, Step, failure
from tests.support.served import served


@dataclass
class Desk:
    """A bot with tools that a real service keeps and real requests do; the test says what the model says."""

    house: House
    workshop: Workshop
    owner: str
    channel: grpc.aio.Channel
    tool_ids: list[UUID] = field(default_factory=list)
    seconds: float = 30.0

    async def resolve(self, *_: object, **__: object) -> Persona:
        """See the port Bots."""
        return Persona("Be kind.", PLAIN, tuple(self.tool_ids))

    @property
    def answers(self) -> AnswerMessages:
        """What a worker does with a nudge."""
        limits = ToolLimits(3, self.seconds)
        voice = Converse(self.house.transactions, self.house.model, "", 60.0, self, MeshTools(self.channel), limits)
        return AnswerMessages(self.house.transactions, self.house.events, voice, 100)

    async def tool(self, path: str, **changes: object) -> Tool:
        """Give the bot a tool."""
        tool = await self.workshop.tool(Who(owner_of(self.owner, ""), self.owner), path, **changes)
        self.tool_ids.append(tool.tool_id)
        return tool

    async def asked(self) -> Run:
        """Say something to the bot."""
        made = await self.house.conversations.create(self.owner, "", Context(), None)
        async with self.workshop.database.transaction() as connection:
            statement = text("UPDATE conversations.conversation SET bot_id = id WHERE id = :id")
            await connection.execute(statement, {"id": made.conversation_id})
        return (await self.house.messages.send(self.owner, made.conversation_id, "do it", None))[1]

    async def events(self, run: Run) -> list[RunEvent]:
        """Follow a run to its end."""
        return [event async for event in self.house.runs.follow(self.owner, run.conversation_id, run.run_id, 0)]

    @asynccontextmanager
    async def working(self, run: Run) -> AsyncIterator[None]:
        """Do the calls of a run as they are asked for."""

        async def work() -> None:
            query = text("SELECT id FROM tools.call WHERE run_id = :run_id AND state = 'requested'")
            async with asyncio.TaskGroup() as tasks:
                while True:
                    async with self.workshop.database.reading() as connection:
                        for call_id in await connection.scalars(query, {"run_id": run.run_id}):
                            tasks.create_task(self.workshop.dispatching.dispatch(UUID(str(call_id))))
                    await asyncio.sleep(0.02)

        worker = asyncio.create_task(work())
        yield
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


@pytest.fixture
async def desk(
    house: House, owner: str, database: Database, valkey: Redis, postgres_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[Desk]:
    """The house, the service of tools, and an HTTP server that tools are requests to."""
    seen = Seen()
    async with serving(web(seen)) as port, served("tools", tmp_path / "tools", postgres_url, valkey_url) as channel:
        workshop = Workshop(database, valkey, port, seen)
        yield Desk(house, workshop, owner, channel)
        seen.go_on.set()
        await workshop.wake_ups.close()


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers keep no lease: one that is left alone is as good as dead."""
    monkeypatch.setattr("services.conversations.operations.answer_messages._HEARTBEAT_SECONDS", 3600.0)


async def lapse(desk: Desk, run: Run) -> None:
    """Let the lease of a run's worker run out."""
    async with desk.workshop.database.transaction() as connection:
        statement = text("UPDATE conversations.conversation SET lease_until = now() - interval '1 s' WHERE id = :id")
        await connection.execute(statement, {"id": run.conversation_id})


def results(messages: Sequence[PromptMessage]) -> list[str]:
    """Return what a model is told that came of its calls."""
    return [message.text for message in messages if message.role == "tool"]


def told(events: Sequence[RunEvent]) -> list[tuple[str, CallState]]:
    """Return which calls events tell of."""
    return [(event.call.name, event.call.state) for event in events if event.call is not None]


async def test_calls_are_told_of_in_the_stream_and_shown_on_the_answer(desk: Desk) -> None:
    tool = await desk.tool("/order")
    asked = [ToolRequest("a", tool.name, '{"n": 1}'), ToolRequest("b", "nothing", "{}")]
    desk.house.model.script = lambda said: ["Done: ", "; ".join(results(said))] if results(said) else ["Wait. ", *asked]
    run = await desk.asked()
    async with desk.working(run):
        await desk.answers.answer(run.conversation_id)
    events = await desk.events(run)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert sorted(told(events), key=str) == sorted(
        [(tool.name, CallState.STARTED), (tool.name, CallState.SUCCEEDED), ("nothing", CallState.FAILED)], key=str
    )
    question, answer = (await desk.house.messages.page(desk.owner, run.conversation_id, 0, ""))[0]
    assert events[-1].message == answer
    assert answer.text == "Wait. Done: seen 1; failed: there is no tool nothing"
    assert question.tool_calls == ()
    assert [(one.name, one.state, one.arguments, one.result, one.round) for one in answer.tool_calls] == [
        (tool.name, CallState.SUCCEEDED, '{"n": 1}', "seen 1", 1),
        ("nothing", CallState.FAILED, "{}", "failed: there is no tool nothing", 1),
    ]
    assert desk.workshop.seen.requests[0][2]["idempotency-key"] == str(answer.tool_calls[0].call_id)


async def test_long_results_are_cut_on_the_answer_and_whole_for_the_model(desk: Desk) -> None:
    tool = await desk.tool("/order")
    long = '{"n": "' + "x" * 3000 + '"}'
    desk.house.model.script = lambda said: ["Done"] if results(said) else [ToolRequest("a", tool.name, long)]
    run = await desk.asked()
    async with desk.working(run):
        await desk.answers.answer(run.conversation_id)
    assert desk.house.model.prompts[-1][-2].requests[0].arguments == long
    _, answer = (await desk.house.messages.page(desk.owner, run.conversation_id, 0, ""))[0]
    ((shown),) = answer.tool_calls
    assert (shown.arguments, shown.result, shown.truncated) == (long[:1000], "seen 1", True)


async def test_a_run_that_is_taken_over_goes_on_after_its_last_round(desk: Desk, dying: None) -> None:
    tool = await desk.tool("/order")
    never = asyncio.Event()
    asking: list[Step] = ["Wait. ", ToolRequest("a", tool.name, '{"n": 1}')]
    desk.house.model.script = lambda said: [never] if results(said) else asking
    run = await desk.asked()
    async with desk.working(run):
        dead = asyncio.create_task(desk.answers.answer(run.conversation_id))
        await eventually(lambda: _prompts(desk, 2), seconds=60, what="the second round of the model")
        await lapse(desk, run)
        # Were it asked for the first round again, it would word it differently.
        desk.house.model.script = lambda said: (
            ["Done: ", *results(said)] if results(said) else [ToolRequest("z", tool.name, '{"n": 2}')]
        )
        await desk.answers.answer(run.conversation_id)
    assert len(desk.house.model.prompts) == 3
    assert desk.house.model.prompts[2] == desk.house.model.prompts[1]
    assert [body for _, _, _, body in desk.workshop.seen.requests] == [b'{"n":1}']
    events = await desk.events(run)
    after = events[[event.kind for event in events].index("restarted") :]
    assert [event.kind for event in after] == ["restarted", "delta", "tool", "delta", "delta", "completed"]
    assert told(after) == [(tool.name, CallState.SUCCEEDED)]
    _, answer = (await desk.house.messages.page(desk.owner, run.conversation_id, 0, ""))[0]
    assert answer.text == "Wait. Done: seen 1"
    assert answer.metadata is not None
    assert (answer.metadata.input_tokens, answer.metadata.tool_calls) == (2, 1)
    # The dead worker wakes up: nothing of what it does counts.
    never.set()
    await dead
    assert await desk.events(run) == events


async def test_a_call_that_is_being_done_is_not_done_again_by_who_takes_the_run_over(desk: Desk, dying: None) -> None:
    tool = await desk.tool("/slow", timeout_seconds=60)
    desk.house.model.script = lambda said: (
        ["Done: ", *results(said)] if results(said) else [ToolRequest("a", tool.name, "{}")]
    )
    run = await desk.asked()
    async with desk.working(run):
        dead = asyncio.create_task(desk.answers.answer(run.conversation_id))
        await eventually(lambda: _requests(desk, 1), seconds=60, what="the request of the call")
        await lapse(desk, run)
        taken = asyncio.create_task(desk.answers.answer(run.conversation_id))
        await eventually(lambda: _taken(desk, run), seconds=60, what="the second worker")
        desk.workshop.seen.go_on.set()
        await asyncio.gather(taken, dead)
    assert (len(desk.workshop.seen.requests), len(desk.house.model.prompts)) == (1, 2)
    assert (await desk.events(run))[-1].kind == "completed"
    _, answer = (await desk.house.messages.page(desk.owner, run.conversation_id, 0, ""))[0]
    assert answer.text == "Done: at last"


async def test_a_worker_without_the_lease_stores_no_round(desk: Desk) -> None:
    run = await desk.asked()
    claims: list[Claim | None] = []
    for _ in range(2):
        async with desk.house.transactions.begin() as tx:
            claims.append(await tx.runs.claim(run.conversation_id, 10))
        await lapse(desk, run)
    old, new = claims
    assert old is not None
    assert new is not None
    tool = await desk.tool("/order")
    desk.house.model.script = lambda _: [ToolRequest("a", tool.name, "{}")]
    with pytest.raises(LeaseLost):
        async for _ in desk.answers.voice.speak(old):
            pass
    async with desk.house.transactions.read() as tx:
        assert await tx.runs.rounds(run.run_id) == []
    assert desk.workshop.seen.requests == []


async def test_a_run_does_not_wait_for_ever_for_a_call_that_nobody_does(desk: Desk) -> None:
    tool = await desk.tool("/order")
    desk.seconds = 1.0
    desk.house.model.script = lambda _: [ToolRequest("a", tool.name, "{}")]
    run = await desk.asked()
    await desk.answers.answer(run.conversation_id)
    ended = await desk.house.runs.get(desk.owner, run.conversation_id, run.run_id)
    assert (ended.state, ended.error_reason) == (RunState.FAILED, "TOOL_CALLS_UNFINISHED")
    assert tool.name in ended.error_message
    assert len(desk.house.model.prompts) == 1


async def test_a_model_that_breaks_off_after_a_round_is_asked_for_the_next_one_only(desk: Desk) -> None:
    tool = await desk.tool("/order")
    breaks = [True, False]

    def script(said: Sequence[PromptMessage]) -> list[Step]:
        if not results(said):
            return ["Wait. ", ToolRequest("a", tool.name, "{}")]
        return ["half", failure(retryable=True)] if breaks.pop(0) else ["Done: ", *results(said)]

    desk.house.model.script = script
    run = await desk.asked()
    async with desk.working(run):
        await desk.answers.answer(run.conversation_id)
    assert [len(results(prompt)) for prompt in desk.house.model.prompts] == [0, 1, 1]
    events = await desk.events(run)
    assert told(events) == [(tool.name, CallState.STARTED), (tool.name, CallState.SUCCEEDED)]
    assert events[-1].message is not None
    assert events[-1].message.text == "Wait. Done: seen 1"


async def _prompts(desk: Desk, count: int) -> bool:
    return len(desk.house.model.prompts) >= count


async def _requests(desk: Desk, count: int) -> bool:
    return len(desk.workshop.seen.requests) >= count


async def _taken(desk: Desk, run: Run) -> bool:
    return (await desk.house.runs.get(desk.owner, run.conversation_id, run.run_id)).attempt == 2
