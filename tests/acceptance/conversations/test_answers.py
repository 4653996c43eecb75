"""The work of a nudge: exactly one answer to each message, in order, whatever happens to the workers."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.heartbeat import LeaseLost
from services.chassis.identifiers import new_id
from services.chassis.resources import open_valkey
from services.conversations.errors import RunNotFound
from services.conversations.ports import Claim, NewMessage
from services.conversations.rules import MAX_ATTEMPTS, Context, Metadata, Outcome, RunEvent, RunState
from tests.support.callers import eventually
from tests.support.house import House, Step, failure


async def collect(house: House, owner: str, run, after: int = 0) -> list[RunEvent]:  # type: ignore[no-untyped-def]
    return [event async for event in house.runs.follow(owner, run.conversation_id, run.run_id, after)]


async def test_a_message_is_answered_once_and_its_events_are_numbered(house: House, owner: str) -> None:
    conversation = await house.conversations.create(owner, "", Context(topic="food"), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hello there", None)
    await asyncio.gather(*[house.answers.answer(conversation.conversation_id) for _ in range(5)])

    events = await collect(house, owner, run)
    assert [event.sequence for event in events] == [1, 2, 3, 4]
    assert [event.kind for event in events] == ["started", "delta", "delta", "completed"]
    assert "".join(event.text for event in events) == "You said: hello there"
    messages, _ = await house.messages.page(owner, conversation.conversation_id, 0, "")
    assert [(one.sequence, one.role, one.text) for one in messages] == [
        (1, "user", "hello there"),
        (2, "assistant", "You said: hello there"),
    ]
    assert messages[1].metadata is not None
    assert messages[1].metadata.model == "scripted"
    assert "food" in house.model.prompts[0][0].text
    assert (await house.conversations.get(owner, conversation.conversation_id)).title == "hello there"


async def test_readers_resume_after_any_event_with_the_same_numbers(house: House, owner: str) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    reader = asyncio.create_task(collect(house, owner, run))
    await house.answers.answer(conversation.conversation_id)
    live = await reader
    for seen in range(len(live) + 1):
        assert await collect(house, owner, run, after=seen) == live[seen:]


async def test_many_readers_on_two_replicas_see_the_same_events_also_after_a_restart(
    house: House, owner: str, database: Database, valkey_url: str, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    house.model.script = lambda _: ["Once ", "upon ", gate, "a time"]
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "tell", None)
    others = [open_valkey(valkey_url) for _ in range(2)]
    replica, restarted = (House(database, valkey, tmp_path / "keys") for valkey in others)
    readers = [asyncio.create_task(collect(at, owner, run)) for at in (house, house, replica, replica)]
    working = asyncio.create_task(house.answers.answer(conversation.conversation_id))
    seen = []
    async for event in replica.runs.follow(owner, conversation.conversation_id, run.run_id, 0):
        seen.append(event)
        if event.text == "upon ":
            break
    # This reader's replica goes, and it goes on at another one.
    await replica.wake_ups.close()
    readers[2].cancel()
    readers[3].cancel()
    resumed = asyncio.create_task(collect(restarted, owner, run, after=seen[-1].sequence))
    gate.set()
    await working
    whole = await readers[0]
    assert [event.kind for event in whole] == ["started", "delta", "delta", "delta", "completed"]
    assert await readers[1] == whole
    assert seen + await resumed == whole
    await restarted.wake_ups.close()
    for valkey in others:
        await valkey.aclose()


async def test_a_burst_is_answered_in_order_and_each_answer_sees_only_what_came_before(
    house: House, owner: str
) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    sent = [await house.messages.send(owner, conversation.conversation_id, f"m{n}", None) for n in range(3)]
    await house.answers.answer(conversation.conversation_id)
    for (_, run), seen in zip(sent, house.model.prompts, strict=True):
        assert (await house.runs.get(owner, conversation.conversation_id, run.run_id)).state is RunState.SUCCEEDED
        assert seen[0].role == "system"
    assert [message.text for message in house.model.prompts[2][1:]] == [
        "m0",
        "You said: m0",
        "m1",
        "You said: m1",
        "m2",
    ]


async def test_a_run_that_a_dead_worker_left_is_restarted_and_ends_with_one_answer(
    house: House, owner: str, database: Database
) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    async with house.transactions.begin() as tx:
        dead = await tx.runs.claim(conversation.conversation_id, 10)
    assert dead is not None
    await house.events.append(run.run_id, dead.fence, [RunEvent("started")], 0)
    await house.events.append(run.run_id, dead.fence, [RunEvent("delta", text="half an an")], 0)
    await house.answers.answer(conversation.conversation_id)
    assert house.model.prompts == [], "the lease of the dead worker still holds"
    async with database.transaction() as connection:
        await connection.execute(
            text(
                "UPDATE conversations.conversation "
                "SET lease_until = now() - interval '1 s', nudged_at = to_timestamp(0) WHERE id = :id"
            ),
            {"id": conversation.conversation_id},
        )
    async with house.transactions.begin() as tx:
        assert await tx.runs.nudge_stranded(1000) >= 1
    await house.answers.answer(conversation.conversation_id)

    events = await collect(house, owner, run)
    assert [event.kind for event in events] == ["started", "delta", "restarted", "delta", "delta", "completed"]
    assert [event.sequence for event in events] == list(range(1, 7))
    # The dead one wakes up: nothing of what it does counts.
    with pytest.raises(LeaseLost):
        await house.events.append(run.run_id, dead.fence, [RunEvent("delta", text="zombie")], 0)
    with pytest.raises(LeaseLost):
        async with house.transactions.begin() as tx:
            await tx.runs.finish(dead, Outcome(RunState.SUCCEEDED, "zombie"), new_id(), 10)
    messages, _ = await house.messages.page(owner, conversation.conversation_id, 0, "")
    assert [one.text for one in messages] == ["hi", "You said: hi"]


async def _claimed(house: House, conversation_id: UUID) -> Claim:
    async with house.transactions.autocommit() as tx:
        claim = await tx.runs.claim(conversation_id, 10)
    assert claim is not None, "somebody holds the conversation, or nothing waits"
    return claim


async def _ended(house: House, claim: Claim) -> Claim | None:
    async with house.transactions.autocommit() as tx:
        return (await tx.runs.finish(claim, Outcome(RunState.SUCCEEDED, "hello"), new_id(), 10))[2]


async def _waits_for_a_lock(database: Database) -> bool:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with database.autocommit() as connection:
        return bool(await connection.scalar(text(statement)))


async def test_a_message_that_is_accepted_just_as_a_run_ends_is_taken_up_and_follows_the_answer(
    house: House, owner: str, database: Database
) -> None:
    conversation_id = (await house.conversations.create(owner, "", Context(), None)).conversation_id
    await house.messages.send(owner, conversation_id, "one", None)
    claim = await _claimed(house, conversation_id)
    new = NewMessage(new_id(), new_id(), conversation_id, owner, "two", "", None, datetime.now(UTC))
    async with house.transactions.begin() as tx:
        await tx.runs.accept(new)
        ending = asyncio.create_task(_ended(house, claim))
        await eventually(lambda: _waits_for_a_lock(database), seconds=10, what="the end of the run")
    following = await ending
    assert following is not None
    assert following.run.run_id == new.run_id
    assert [said.text for said in following.history] == ["one", "hello", "two"]
    assert following.fence == claim.fence + 1


async def test_a_run_that_is_cancelled_just_as_the_one_before_it_ends_keeps_nobody_out(
    house: House, owner: str, database: Database
) -> None:
    conversation_id = (await house.conversations.create(owner, "", Context(), None)).conversation_id
    await house.messages.send(owner, conversation_id, "one", None)
    _, waiting = await house.messages.send(owner, conversation_id, "two", None)
    claim = await _claimed(house, conversation_id)
    async with house.transactions.begin() as tx:
        await tx.conversations.get(conversation_id, owner, lock=True)
        ending = asyncio.create_task(_ended(house, claim))
        await eventually(lambda: _waits_for_a_lock(database), seconds=10, what="the end of the run")
        await tx.runs.request_cancel(waiting.run_id)
    assert await ending is None
    _, third = await house.messages.send(owner, conversation_id, "three", None)
    assert (await _claimed(house, conversation_id)).run.run_id == third.run_id


async def test_a_heartbeat_that_is_late_keeps_nobody_out_of_a_conversation(house: House, owner: str) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    for expected in (1, 2):
        await house.messages.send(owner, conversation.conversation_id, "hi", None)
        claim = await _claimed(house, conversation.conversation_id)
        assert claim.fence == expected
        assert await _ended(house, claim) is None
        async with house.transactions.begin() as tx:
            assert await tx.runs.renew(conversation.conversation_id, claim.fence), "no other worker has it"


async def test_a_run_that_kills_its_workers_fails_at_last_and_the_conversation_goes_on(
    house: House, owner: str, database: Database
) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, poison = await house.messages.send(owner, conversation.conversation_id, "poison", None)
    _, good = await house.messages.send(owner, conversation.conversation_id, "good", None)
    async with database.transaction() as connection:
        await connection.execute(
            text("UPDATE conversations.run SET attempt = :attempt, state = 'running' WHERE id = :id"),
            {"id": poison.run_id, "attempt": MAX_ATTEMPTS},
        )
    await house.answers.answer(conversation.conversation_id)
    ended = await house.runs.get(owner, conversation.conversation_id, poison.run_id)
    assert (ended.state, ended.error_reason) == (RunState.FAILED, "ATTEMPTS_EXHAUSTED")
    assert (await house.runs.get(owner, conversation.conversation_id, good.run_id)).state is RunState.SUCCEEDED


async def test_the_last_event_is_made_up_for_when_valkey_forgot_the_run(
    house: House, owner: str, valkey: Redis
) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    await house.answers.answer(conversation.conversation_id)
    for part in ("events", "state"):
        await valkey.delete(f"run:{{{run.run_id}}}:{part}")
    fresh = await collect(house, owner, run)
    assert [(event.sequence, event.kind) for event in fresh] == [(1, "completed")]
    ahead = await collect(house, owner, run, after=7)
    assert [(event.sequence, event.kind) for event in ahead] == [(8, "completed")]
    assert ahead[0].message is not None
    assert ahead[0].message.text == "You said: hi"


async def test_cancelling_keeps_what_was_said_and_stops_the_model(house: House, owner: str) -> None:
    never = asyncio.Event()
    house.model.script = lambda _: ["Once ", "upon ", never]
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "tell", None)
    working = asyncio.create_task(house.answers.answer(conversation.conversation_id))
    events = []
    async for event in house.runs.follow(owner, conversation.conversation_id, run.run_id, 0):
        events.append(event)
        if event.text == "upon ":
            await house.runs.cancel(owner, conversation.conversation_id, run.run_id)
    await working
    assert events[-1].kind == "cancelled"
    assert events[-1].message is not None
    assert events[-1].message.text == "Once upon "
    assert events[-1].message.metadata == Metadata(output_tokens=2, finish_reason="cancelled")
    ended = await house.runs.cancel(owner, conversation.conversation_id, run.run_id)
    assert ended.state is RunState.CANCELLED


async def test_cancelling_a_waiting_run_ends_it_at_once_and_it_is_never_answered(house: House, owner: str) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "one", None)
    assert (await house.runs.cancel(owner, conversation.conversation_id, run.run_id)).state is RunState.CANCELLED
    await house.answers.answer(conversation.conversation_id)
    assert [event.kind for event in await collect(house, owner, run)] == ["cancelled"]
    assert house.model.prompts == []


async def test_a_model_that_breaks_off_is_asked_again(house: House, owner: str) -> None:
    scripts: list[list[Step]] = [["half", failure(retryable=True)], ["whole"]]
    house.model.script = lambda _: scripts.pop(0)
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    await house.answers.answer(conversation.conversation_id)
    events = await collect(house, owner, run)
    assert [event.kind for event in events] == ["started", "delta", "restarted", "delta", "completed"]
    assert events[-1].message is not None
    assert events[-1].message.text == "whole"


async def test_a_model_that_refuses_ends_the_run_with_its_reason(house: House, owner: str) -> None:
    house.model.script = lambda _: [failure(retryable=False)]
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    await house.answers.answer(conversation.conversation_id)
    [_, last] = await collect(house, owner, run)
    assert (last.kind, last.error_reason, last.error_message) == ("failed", "MODEL_UNAVAILABLE", "it is away")


async def test_deleting_a_conversation_ends_its_readers_and_its_worker(house: House, owner: str) -> None:
    never = asyncio.Event()
    house.model.script = lambda _: ["a", never]
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    working = asyncio.create_task(house.answers.answer(conversation.conversation_id))
    kinds = []
    async for event in house.runs.follow(owner, conversation.conversation_id, run.run_id, 0):
        kinds.append(event.kind)
        if event.kind == "delta":
            await house.conversations.delete(owner, conversation.conversation_id)
    assert kinds == ["started", "delta", "cancelled"]
    await working
    with pytest.raises(RunNotFound):
        await house.runs.get(owner, conversation.conversation_id, run.run_id)
