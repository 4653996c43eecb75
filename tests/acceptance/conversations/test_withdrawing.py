"""Runs that are cancelled, fail or are deleted while calls are open: what was not begun is never done."""

import asyncio
from contextlib import aclosing

import pytest
from sqlalchemy import text

from services.chassis.owners import Who, owner_of
from services.conversations.backends.mesh_tools import MeshTools
from services.conversations.ports import ModelFailed
from services.conversations.rules import CallState, Run, RunState, ToolRequest
from services.tools.errors import NotWaiting
from services.tools.ports import CallFilter
from services.tools.rules import Call
from services.tools.rules import CallState as ToolState
from tests.acceptance.conversations.bot_with_tools import BotWithTools, told
from tests.support.callers import eventually

SECONDS = 60


def who(bot: BotWithTools) -> Who:
    """Return the owner of the bot, as `tools` knows them."""
    return Who(owner_of(bot.owner, ""), bot.owner)


async def calls(bot: BotWithTools, run: Run) -> list[Call]:
    """Return the calls of a run, as `tools` has them."""
    page, _ = await bot.workshop.deciding.page(who(bot), CallFilter(conversation_id=run.conversation_id), 0, "")
    return list(page)


async def waiting(bot: BotWithTools, *paths: str) -> tuple[Run, "asyncio.Task[None]"]:
    """Return a run whose first call waits for approval, and its worker."""
    tools = [await bot.tool(path, needs_approval=not index, timeout_seconds=60) for index, path in enumerate(paths)]
    bot.house.model.script = lambda _: ["Wait. ", *[ToolRequest(tool.name, tool.name, "{}") for tool in tools]]
    run = await bot.asked()
    worker = asyncio.create_task(bot.answers.answer(run.conversation_id))

    following = bot.house.runs.follow(bot.owner, run.conversation_id, run.run_id, 0)
    async with asyncio.timeout(SECONDS), aclosing(following):  # type: ignore[type-var]
        async for event in following:
            if event.call is not None and event.call.state is CallState.WAITING_FOR_APPROVAL:
                break
    return run, worker


async def cancelled(bot: BotWithTools, run: Run, worker: "asyncio.Task[None]") -> None:
    """Cancel a run and let its worker end it."""
    await bot.house.runs.cancel(bot.owner, run.conversation_id, run.run_id)
    await worker


async def refused(bot: BotWithTools, call: Call) -> None:
    """See that nobody can approve a call, and that it is not done."""
    with pytest.raises(NotWaiting, match="withdrawn"):
        await bot.workshop.deciding.approve(who(bot), call.call_id)
    await bot.workshop.dispatching.dispatch(call.call_id)
    assert bot.workshop.seen.requests == []


async def owed(bot: BotWithTools, run: Run) -> int:
    """Return whether the withdrawal of a run's calls is noted."""
    async with bot.workshop.database.autocommit() as connection:
        query = text("SELECT count(*) FROM conversations.withdrawal WHERE run_id = :id")
        return int(await connection.scalar(query, {"id": run.run_id}) or 0)


async def later(bot: BotWithTools, run: Run) -> None:
    """Let the time come at which a withdrawal is tried again."""
    async with bot.workshop.database.transaction() as connection:
        statement = text("UPDATE conversations.withdrawal SET due_at = now() - interval '1 s' WHERE run_id = :id")
        await connection.execute(statement, {"id": run.run_id})


async def standing(bot: BotWithTools, run: Run) -> list[CallState]:
    """Return how the calls on the answer of a run stand."""
    _, answer = (await bot.house.messages.page(bot.owner, run.conversation_id, 0, ""))[0]
    return [call.state for call in answer.tool_calls]


async def test_a_call_of_a_cancelled_run_cannot_be_approved_any_more(bot: BotWithTools) -> None:
    run, worker = await waiting(bot, "/order")
    await cancelled(bot, run, worker)
    ((call,),) = [await calls(bot, run)]
    assert (call.state, call.error_reason) == (ToolState.WITHDRAWN, "RUN_ENDED")
    await refused(bot, call)
    assert await owed(bot, run) == 0
    events = await bot.events(run)
    assert told(events)[-1] == (call.tool_name, CallState.WITHDRAWN)
    assert events[-1].kind == "cancelled"
    _, answer = (await bot.house.messages.page(bot.owner, run.conversation_id, 0, ""))[0]
    assert events[-1].message == answer
    assert [(one.state, one.result) for one in answer.tool_calls] == [
        (CallState.WITHDRAWN, "withdrawn: the run ended before the call was begun")
    ]


async def test_a_call_that_is_being_done_when_its_run_is_cancelled_keeps_its_result(bot: BotWithTools) -> None:
    run, worker = await waiting(bot, "/order", "/slow")
    by_tool = {one.tool_id: one for one in await calls(bot, run)}
    quick, slow = (by_tool[tool_id] for tool_id in bot.tool_ids)
    doing = asyncio.create_task(bot.workshop.dispatching.dispatch(slow.call_id))

    async def begun() -> bool:
        return bool(bot.workshop.seen.requests)

    await eventually(begun, seconds=SECONDS, what="the request of the call")
    await cancelled(bot, run, worker)
    assert await standing(bot, run) == [CallState.WITHDRAWN, CallState.STARTED]
    await later(bot, run)
    await bot.withdrawing.look()
    assert await owed(bot, run) == 1, "it is looked after"
    bot.workshop.seen.go_on.set()
    await doing
    withdrawn, done = await bot.workshop.calls.wait([quick.call_id, slow.call_id], 0)
    assert (withdrawn.state, done.state, done.result) == (ToolState.WITHDRAWN, ToolState.SUCCEEDED, "at last")
    await later(bot, run)
    await bot.withdrawing.look()
    assert await standing(bot, run) == [CallState.WITHDRAWN, CallState.SUCCEEDED]
    assert await owed(bot, run) == 0


async def test_a_call_that_nobody_was_asked_to_do_is_withdrawn(
    bot: BotWithTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asyncio.Event()

    async def never(*_: object) -> None:
        asking.set()
        await asyncio.Event().wait()

    tool = await bot.tool("/order")
    bot.house.model.script = lambda _: ["Wait. ", ToolRequest(tool.name, tool.name, "{}")]
    run = await bot.asked()
    with monkeypatch.context() as dying:
        dying.setattr(MeshTools, "request", never)
        worker = asyncio.create_task(bot.answers.answer(run.conversation_id))
        async with asyncio.timeout(SECONDS):
            await asking.wait()
        await cancelled(bot, run, worker)
    async with bot.house.transactions.autocommit() as tx:
        (only,) = await tx.runs.rounds(run.run_id)
    assert [call.state for call in only.calls] == [CallState.WITHDRAWN]
    assert await owed(bot, run) == 0


async def test_a_worker_that_dies_with_the_end_of_its_run_leaves_no_call_behind(
    bot: BotWithTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, worker = await waiting(bot, "/order")
    reached = asyncio.Event()

    async def never(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as dying:
        dying.setattr(MeshTools, "withdraw", never)
        await bot.house.runs.cancel(bot.owner, run.conversation_id, run.run_id)
        async with asyncio.timeout(SECONDS):
            await reached.wait()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    ended = await bot.house.runs.get(bot.owner, run.conversation_id, run.run_id)
    assert (ended.state, await owed(bot, run)) == (RunState.CANCELLED, 1)
    await later(bot, run)
    await bot.withdrawing.look()
    ((call,),) = [await calls(bot, run)]
    await refused(bot, call)
    assert await owed(bot, run) == 0


async def test_calls_are_withdrawn_when_tools_is_back_and_one_run_holds_up_no_other(
    bot: BotWithTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, other = await waiting(bot, "/order"), await waiting(bot, "/order")
    withdraw = MeshTools.withdraw

    async def failing(tools: MeshTools, run_id: object, asked: object) -> object:
        if run_id == away[0].run_id:
            raise ModelFailed("UNAVAILABLE", "away", retryable=True)
        return await withdraw(tools, run_id, asked)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(MeshTools, "withdraw", failing)
        for run, worker in (away, other):
            await cancelled(bot, run, worker)
        await later(bot, away[0])
        await bot.withdrawing.look()
    assert [await owed(bot, run) for run, _ in (away, other)] == [1, 0]
    await later(bot, away[0])
    await bot.withdrawing.look()
    for run, _ in (away, other):
        ((call,),) = [await calls(bot, run)]
        await refused(bot, call)


async def test_calls_of_a_failed_run_are_withdrawn(bot: BotWithTools) -> None:
    bot.seconds = 1.0
    tool = await bot.tool("/order")
    bot.house.model.script = lambda _: [ToolRequest("a", tool.name, "{}")]
    run = await bot.asked()
    await bot.answers.answer(run.conversation_id)
    ended = await bot.house.runs.get(bot.owner, run.conversation_id, run.run_id)
    assert (ended.state, ended.error_reason) == (RunState.FAILED, "TOOL_CALLS_UNFINISHED")
    ((call,),) = [await calls(bot, run)]
    assert call.state is ToolState.WITHDRAWN
    await refused(bot, call)


async def test_calls_of_a_deleted_conversation_are_withdrawn(bot: BotWithTools) -> None:
    run, worker = await waiting(bot, "/order")
    await bot.house.conversations.delete(bot.owner, run.conversation_id)
    await worker
    await bot.withdrawing.look()
    ((call,),) = [await calls(bot, run)]
    await refused(bot, call)
    assert await owed(bot, run) == 0


async def test_nothing_is_owed_for_a_run_without_open_calls(bot: BotWithTools) -> None:
    tool = await bot.tool("/order")
    never = asyncio.Event()
    bot.house.model.script = lambda said: (
        [never] if any(one.role == "tool" for one in said) else [ToolRequest("a", tool.name, "{}")]
    )
    run = await bot.asked()
    async with bot.working(run):
        worker = asyncio.create_task(bot.answers.answer(run.conversation_id))

        async def asked_again() -> bool:
            return len(bot.house.model.prompts) == 2

        await eventually(asked_again, seconds=SECONDS, what="the second round of the model")
        await cancelled(bot, run, worker)
    assert await owed(bot, run) == 0
    ((call,),) = [await calls(bot, run)]
    assert call.state is ToolState.SUCCEEDED
