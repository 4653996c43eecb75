"""The worker's side: many conversations beside each other, and a good end."""

import asyncio

from services.chassis.identifiers import new_id
from services.conversations.jobs import Answering
from services.conversations.rules import Context, Run, RunState
from tests.support.house import House, echo


async def _speaking(house: House, owner: str, run: Run) -> None:
    """Return once the model has begun to speak in a run."""
    async for event in house.runs.follow(owner, run.conversation_id, run.run_id, 0):
        if event.kind == "delta":
            return


async def _say(house: House, owner: str, count: int) -> list[Run]:
    """Say something in so many new conversations."""
    made = [await house.conversations.create(owner, "", Context(), None) for _ in range(count)]
    return [(await house.messages.send(owner, one.conversation_id, "hi", None))[1] for one in made]


async def test_no_more_conversations_than_allowed_are_answered_at_once(house: House, owner: str) -> None:
    gate = asyncio.Event()
    house.model.script = lambda _: ["a", gate]
    runs = await _say(house, owner, 4)
    answering = Answering(house.answers, at_once=4)
    for run in runs:
        answering.take_up(run.conversation_id, owner)
        answering.take_up(run.conversation_id, owner)  # a nudge may come twice
    for run in runs[:2]:
        await _speaking(house, owner, run)
    # A tenant alone has half of the slots.
    assert len(house.model.prompts) == 2
    gate.set()
    for run in runs:
        last = [event async for event in house.runs.follow(owner, run.conversation_id, run.run_id, 0)][-1]
        assert last.kind == "completed"
    await answering.close()


async def test_a_busy_tenant_leaves_slots_for_one_who_comes_later(house: House, owner: str) -> None:
    gate = asyncio.Event()
    house.model.script = lambda _: ["a", gate]
    late = str(new_id())
    busy, single = await _say(house, owner, 12), (await _say(house, late, 1))[0]
    answering = Answering(house.answers, at_once=4)
    for run in busy:
        answering.take_up(run.conversation_id, owner)
    for run in busy[:2]:
        await _speaking(house, owner, run)
    answering.take_up(single.conversation_id, late)
    await _speaking(house, late, single)
    assert len(house.model.prompts) == 3
    gate.set()
    for run in busy:
        await house.answered(owner, run)
    await answering.close()


async def test_a_single_message_does_not_wait_for_ten_thousand_of_another_tenant(house: House, owner: str) -> None:
    """All slots of the busy tenant are in use by answers that never end, and its nudges are all before the other's."""
    house.model.script = lambda _: ["a", asyncio.Event()]
    late = str(new_id())
    busy, single = await _say(house, owner, 8), (await _say(house, late, 1))[0]
    answering = Answering(house.answers, at_once=8)
    for run in busy:
        answering.take_up(run.conversation_id, owner)
    for _ in range(10_000):
        answering.take_up(new_id(), owner)
    house.model.script = echo
    answering.take_up(single.conversation_id, late)
    ended = await house.answered(late, single)
    assert ended.state is RunState.SUCCEEDED
    await answering.close()


async def test_closing_gives_unfinished_conversations_to_the_next_worker_at_once(house: House, owner: str) -> None:
    never = asyncio.Event()
    house.model.script = lambda _: ["half", never]
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    answering = Answering(house.answers, at_once=2)
    answering.take_up(conversation.conversation_id, owner)
    async for event in house.runs.follow(owner, run.conversation_id, run.run_id, 0):
        if event.kind == "delta":
            break
    await answering.close()
    async with house.transactions.begin() as tx:
        assert await tx.runs.nudge_stranded(1000) >= 1
    house.model.script = lambda _: ["whole"]
    await house.answers.answer(conversation.conversation_id)
    ended = await house.runs.get(owner, conversation.conversation_id, run.run_id)
    assert (ended.state, ended.attempt) == (RunState.SUCCEEDED, 2)
