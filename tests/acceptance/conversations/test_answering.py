"""The worker's side: many conversations beside each other, and a good end."""

import asyncio

from services.conversations.jobs import Answering
from services.conversations.rules import Context, RunState
from tests.support.house import House


async def test_no_more_conversations_than_allowed_are_answered_at_once(house: House, owner: str) -> None:
    gate = asyncio.Event()
    house.model.script = lambda _: ["a", gate]
    made = [await house.conversations.create(owner, "", Context(), None) for _ in range(3)]
    runs = [(await house.messages.send(owner, one.conversation_id, "hi", None))[1] for one in made]
    answering = Answering(house.answers, at_once=2)
    taking = [asyncio.create_task(answering.take_up(one.conversation_id)) for one in made]
    async for event in house.runs.follow(owner, runs[1].conversation_id, runs[1].run_id, 0):
        if event.kind == "delta":
            break
    assert [task.done() for task in taking] == [True, True, False]
    gate.set()
    for run in runs:
        last = [event async for event in house.runs.follow(owner, run.conversation_id, run.run_id, 0)][-1]
        assert last.kind == "completed"
    await answering.close()


async def test_closing_gives_unfinished_conversations_to_the_next_worker_at_once(house: House, owner: str) -> None:
    never = asyncio.Event()
    house.model.script = lambda _: ["half", never]
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    answering = Answering(house.answers, at_once=2)
    await answering.take_up(conversation.conversation_id)
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
