"""What a model says and no store can hold: the run fails for good after one question, which is all that is paid."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.conversations.rules import Context, RunState, ToolRequest
from tests.acceptance.conversations.bot_with_tools import BotWithTools, results
from tests.support.house import House

_FORBIDDEN = "what the table refuses"


@pytest.fixture
async def strict_table(database: Database) -> AsyncIterator[None]:
    """A constraint that some answers break."""
    change = "ALTER TABLE conversations.message {} CONSTRAINT refusing {}"
    async with database.transaction() as connection:
        await connection.execute(text(change.format("ADD", f"CHECK (text <> '{_FORBIDDEN}') NOT VALID")))
    yield
    async with database.transaction() as connection:
        await connection.execute(text(change.format("DROP", "")))


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("said", ["a\x00b", "a\ud83d", "\ude00"], ids=["nul", "high half", "low half"])
async def test_text_that_cannot_be_stored_is_paid_once(said: str, private: bool, house: House, owner: str) -> None:
    house.model.script = lambda _: [said]
    conversation = await house.conversations.create(owner, "", Context(), None, private=private)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    await house.answers.answer(conversation.conversation_id)
    ended = await house.answered(owner, run)
    assert len(house.model.prompts) == 1
    if private and said == "a\x00b":
        assert ended.state is RunState.SUCCEEDED  # sealed, it can be stored
        return
    assert (ended.state, ended.error_reason) == (RunState.FAILED, "ANSWER_NOT_STORABLE")
    # The conversation goes on.
    house.model.script = lambda _: ["well"]
    _, run = await house.messages.send(owner, conversation.conversation_id, "again", None)
    await house.answers.answer(conversation.conversation_id)
    assert (await house.answered(owner, run)).state is RunState.SUCCEEDED


@pytest.mark.usefixtures("strict_table")
async def test_an_answer_that_breaks_a_constraint_is_paid_once(house: House, owner: str) -> None:
    house.model.script = lambda _: [_FORBIDDEN]
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    await house.answers.answer(conversation.conversation_id)
    ended = await house.answered(owner, run)
    assert (ended.state, ended.error_reason) == (RunState.FAILED, "ANSWER_NOT_STORABLE")
    assert len(house.model.prompts) == 1
    assert _FORBIDDEN not in ended.error_message


async def test_a_round_that_cannot_be_stored_is_paid_once(bot: BotWithTools) -> None:
    tool = await bot.tool("/order")
    bot.house.model.script = lambda _: ["Wait\x00", ToolRequest("a", tool.name, "{}")]
    run = await bot.asked()
    async with bot.working(run):
        await bot.answers.answer(run.conversation_id)
    ended = await bot.house.runs.get(bot.owner, run.conversation_id, run.run_id)
    assert (ended.state, ended.error_reason) == (RunState.FAILED, "ANSWER_NOT_STORABLE")
    assert (len(bot.house.model.prompts), bot.workshop.seen.requests) == (1, [])


async def test_arguments_that_are_too_long_fail_the_call_and_not_the_run(bot: BotWithTools) -> None:
    tool = await bot.tool("/order")
    long = '{"n": "' + "x" * 100_000 + '"}'
    bot.house.model.script = lambda said: (
        ["Done: ", *results(said)] if results(said) else [ToolRequest("a", tool.name, long)]
    )
    run = await bot.asked()
    async with bot.working(run):
        await bot.answers.answer(run.conversation_id)
    _, answer = (await bot.house.messages.page(bot.owner, run.conversation_id, 0, ""))[0]
    assert answer.text == "Done: failed: the arguments are longer than 100,000 characters"


@pytest.mark.parametrize("said", [[], [""], [" \n", "\u00a0\t"], ["\u200b\ufeff"], ["\u3164", "\u2800\ufe0f"]])
async def test_an_answer_in_which_nothing_can_be_seen_is_none(said: list[str], house: House, owner: str) -> None:
    house.model.script = lambda _: list(said)
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", new_id())
    await house.answers.answer(conversation.conversation_id)
    ended = await house.answered(owner, run)
    assert (ended.state, ended.error_reason) == (RunState.FAILED, "EMPTY_ANSWER")
    assert len(house.model.prompts) == 1
    assert len((await house.messages.page(owner, conversation.conversation_id, 0, ""))[0]) == 1


async def test_no_answer_is_paid_while_readers_cannot_be_told(house: House, owner: str, valkey: Redis) -> None:
    house.model.script = lambda _: ["well"]
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", new_id())
    state = f"run:{{{run.run_id}}}:state"
    await valkey.set(state, "no hash")
    for _ in range(3):  # as often as its nudge comes again
        with pytest.raises(ResponseError):
            await house.answers.answer(conversation.conversation_id)
    assert not house.model.prompts
    await valkey.delete(state)
    await house.answers.answer(conversation.conversation_id)
    assert (await house.answered(owner, run)).state is RunState.SUCCEEDED
