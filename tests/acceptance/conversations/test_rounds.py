"""The rounds of calls of a run: stored with it, never asked for again, and done once whoever goes on with them."""

import asyncio
from collections.abc import Sequence

import pytest

from services.chassis.heartbeat import LeaseLost
from services.conversations.ports import Claim, TakenBack
from services.conversations.rules import CallState, PromptMessage, Run, RunState, ToolRequest
from tests.acceptance.conversations.bot_with_tools import BotWithTools, lapse, results, told
from tests.support.callers import eventually
from tests.support.house import Step, failure


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers keep no lease: one that is left alone is as good as dead."""
    monkeypatch.setattr("services.conversations.operations.answer_messages._HEARTBEAT_SECONDS", 3600.0)


async def test_calls_are_told_of_in_the_stream_and_shown_on_the_answer(bot: BotWithTools) -> None:
    tool = await bot.tool("/order")
    asked = [ToolRequest("a", tool.name, '{"n": 1}'), ToolRequest("b", "nothing", "{}")]
    bot.house.model.script = lambda said: ["Done: ", "; ".join(results(said))] if results(said) else ["Wait. ", *asked]
    run = await bot.asked()
    async with bot.working(run):
        await bot.answers.answer(run.conversation_id)
    events = await bot.events(run)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert sorted(told(events), key=str) == sorted(
        [(tool.name, CallState.STARTED), (tool.name, CallState.SUCCEEDED), ("nothing", CallState.FAILED)], key=str
    )
    question, answer = (await bot.house.messages.page(bot.owner, run.conversation_id, 0, ""))[0]
    assert events[-1].message == answer
    assert answer.text == "Wait. Done: seen 1; failed: there is no tool nothing"
    assert question.tool_calls == ()
    assert [(one.name, one.state, one.arguments, one.result, one.round) for one in answer.tool_calls] == [
        (tool.name, CallState.SUCCEEDED, '{"n": 1}', "seen 1", 1),
        ("nothing", CallState.FAILED, "{}", "failed: there is no tool nothing", 1),
    ]
    assert bot.workshop.seen.requests[0][2]["idempotency-key"] == str(answer.tool_calls[0].call_id)


async def test_long_results_are_cut_on_the_answer_and_whole_for_the_model(bot: BotWithTools) -> None:
    tool = await bot.tool("/order")
    long = '{"n": "' + "x" * 3000 + '"}'
    bot.house.model.script = lambda said: ["Done"] if results(said) else [ToolRequest("a", tool.name, long)]
    run = await bot.asked()
    async with bot.working(run):
        await bot.answers.answer(run.conversation_id)
    assert bot.house.model.prompts[-1][-2].requests[0].arguments == long
    _, answer = (await bot.house.messages.page(bot.owner, run.conversation_id, 0, ""))[0]
    ((shown),) = answer.tool_calls
    assert (shown.arguments, shown.result, shown.truncated) == (long[:1000], "seen 1", True)


async def test_a_run_that_is_taken_over_goes_on_after_its_last_round(bot: BotWithTools, dying: None) -> None:
    tool = await bot.tool("/order")
    never = asyncio.Event()
    asking: list[Step] = ["Wait. ", ToolRequest("a", tool.name, '{"n": 1}')]
    bot.house.model.script = lambda said: [never] if results(said) else asking
    run = await bot.asked()
    async with bot.working(run):
        dead = asyncio.create_task(bot.answers.answer(run.conversation_id))
        await eventually(lambda: _prompts(bot, 2), seconds=60, what="the second round of the model")
        await lapse(bot, run)
        # Were it asked for the first round again, it would word it differently.
        bot.house.model.script = lambda said: (
            ["Done: ", *results(said)] if results(said) else [ToolRequest("z", tool.name, '{"n": 2}')]
        )
        await bot.answers.answer(run.conversation_id)
    assert len(bot.house.model.prompts) == 3
    assert bot.house.model.prompts[2] == bot.house.model.prompts[1]
    assert [body for _, _, _, body in bot.workshop.seen.requests] == [b'{"n":1}']
    events = await bot.events(run)
    after = events[[event.kind for event in events].index("restarted") :]
    assert [event.kind for event in after] == ["restarted", "delta", "tool", "delta", "delta", "completed"]
    assert told(after) == [(tool.name, CallState.SUCCEEDED)]
    _, answer = (await bot.house.messages.page(bot.owner, run.conversation_id, 0, ""))[0]
    assert answer.text == "Wait. Done: seen 1"
    assert answer.metadata is not None
    assert (answer.metadata.input_tokens, answer.metadata.tool_calls) == (2, 1)
    # The dead worker wakes up: nothing of what it does counts.
    never.set()
    await dead
    assert await bot.events(run) == events


async def test_a_call_that_is_being_done_is_not_done_again_after_a_take_over(bot: BotWithTools, dying: None) -> None:
    tool = await bot.tool("/slow", timeout_seconds=60)
    bot.house.model.script = lambda said: (
        ["Done: ", *results(said)] if results(said) else [ToolRequest("a", tool.name, "{}")]
    )
    run = await bot.asked()
    async with bot.working(run):
        dead = asyncio.create_task(bot.answers.answer(run.conversation_id))
        await eventually(lambda: _requests(bot, 1), seconds=60, what="the request of the call")
        await lapse(bot, run)
        taken = asyncio.create_task(bot.answers.answer(run.conversation_id))
        await eventually(lambda: _taken(bot, run), seconds=60, what="the second worker")
        bot.workshop.seen.go_on.set()
        await asyncio.gather(taken, dead)
    assert (len(bot.workshop.seen.requests), len(bot.house.model.prompts)) == (1, 2)
    assert (await bot.events(run))[-1].kind == "completed"
    _, answer = (await bot.house.messages.page(bot.owner, run.conversation_id, 0, ""))[0]
    assert answer.text == "Done: at last"


async def test_a_worker_without_the_lease_stores_no_round(bot: BotWithTools) -> None:
    run = await bot.asked()
    claims: list[Claim | None] = []
    for _ in range(2):
        async with bot.house.transactions.begin() as tx:
            claims.append(await tx.runs.claim(run.conversation_id, 10))
        await lapse(bot, run)
    old, new = claims
    assert old is not None
    assert new is not None
    tool = await bot.tool("/order")
    bot.house.model.script = lambda _: [ToolRequest("a", tool.name, "{}")]
    with pytest.raises(LeaseLost):
        async for _ in bot.answers.voice.speak(old):
            pass
    async with bot.house.transactions.autocommit() as tx:
        assert await tx.runs.rounds(run.run_id) == []
    assert bot.workshop.seen.requests == []


async def test_a_run_does_not_wait_for_ever_for_a_call_that_nobody_does(bot: BotWithTools) -> None:
    tool = await bot.tool("/order")
    bot.seconds = 1.0
    bot.house.model.script = lambda _: [ToolRequest("a", tool.name, "{}")]
    run = await bot.asked()
    await bot.answers.answer(run.conversation_id)
    ended = await bot.house.runs.get(bot.owner, run.conversation_id, run.run_id)
    assert (ended.state, ended.error_reason) == (RunState.FAILED, "TOOL_CALLS_UNFINISHED")
    assert tool.name in ended.error_message
    assert len(bot.house.model.prompts) == 1


async def test_a_model_that_breaks_off_after_a_round_is_asked_for_the_next_one_only(bot: BotWithTools) -> None:
    tool = await bot.tool("/order")
    breaks = [True, False]

    def script(said: Sequence[PromptMessage]) -> list[Step]:
        if not results(said):
            return ["Wait. ", ToolRequest("a", tool.name, "{}")]
        return ["half", failure(retryable=True)] if breaks.pop(0) else ["Done: ", *results(said)]

    bot.house.model.script = script
    run = await bot.asked()
    async with bot.working(run):
        await bot.answers.answer(run.conversation_id)
    assert [len(results(prompt)) for prompt in bot.house.model.prompts] == [0, 1, 1]
    events = await bot.events(run)
    assert told(events) == [(tool.name, CallState.STARTED), (tool.name, CallState.SUCCEEDED)]
    assert events[-1].message is not None
    assert events[-1].message.text == "Wait. Done: seen 1"


async def _prompts(bot: BotWithTools, count: int) -> bool:
    return len(bot.house.model.prompts) >= count


async def _requests(bot: BotWithTools, count: int) -> bool:
    return len(bot.workshop.seen.requests) >= count


async def _taken(bot: BotWithTools, run: Run) -> bool:
    return (await bot.house.runs.get(bot.owner, run.conversation_id, run.run_id)).attempt == 2


async def test_what_was_thought_is_taken_back_and_what_was_said_before_stays(bot: BotWithTools) -> None:
    tool = await bot.tool("/order")
    bot.house.model.script = lambda said: (
        ["I have ", "thought.", TakenBack(), "Done."]
        if results(said)
        else ["Wait. ", ToolRequest("a", tool.name, "{}")]
    )
    run = await bot.asked()
    async with bot.working(run):
        await bot.answers.answer(run.conversation_id)
    _, answer = (await bot.house.messages.page(bot.owner, run.conversation_id, 0, ""))[0]
    assert answer.text == "Wait. Done."
    heard = ""
    async for event in bot.house.events.follow(run.run_id, 0):
        if event is not None:
            heard = "" if event.kind == "restarted" else heard + event.text
    assert heard == "Wait. Done."
