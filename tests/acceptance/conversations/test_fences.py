"""A worker that slept through its lease and writes WHILE another one answers in its place: nothing of it counts.

After the run has ended its state alone would refuse the late worker; here only the fence can.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Row, text

from services.chassis.database import Database
from services.chassis.heartbeat import LeaseLost
from services.chassis.identifiers import new_id
from services.conversations.operations import answer_messages
from services.conversations.ports import Claim
from services.conversations.rules import (
    CallState,
    Context,
    Metadata,
    Outcome,
    PromptMessage,
    Round,
    Run,
    RunEvent,
    RunState,
    ToolCall,
)
from tests.support.callers import eventually
from tests.support.house import House, Step

_RUNS = "(SELECT id FROM conversations.run WHERE conversation_id = :id)"
_ALL = [
    text("SELECT * FROM conversations.conversation WHERE id = :id"),
    text("SELECT * FROM conversations.run WHERE conversation_id = :id"),
    text("SELECT * FROM conversations.message WHERE conversation_id = :id ORDER BY sequence"),
    text(f"SELECT * FROM conversations.run_round WHERE run_id IN {_RUNS} ORDER BY depth"),  # noqa: S608 - text of ours
]


@dataclass
class Handover:
    """A run that one worker lost while it slept, and another one is answering now."""

    house: House
    database: Database
    owner: str
    run: Run
    late: Claim
    held: Claim

    async def stored(self) -> Sequence[Row[tuple[object, ...]]]:
        """Return all that PostgreSQL knows of the conversation."""
        about = {"id": self.run.conversation_id}
        async with self.database.autocommit() as connection:
            rows: list[Row[tuple[object, ...]]] = []
            for statement in _ALL:
                rows += (await connection.execute(statement, about)).all()
        return rows


@pytest.fixture
async def handover(house: House, owner: str, database: Database) -> Handover:
    """A run in the hands of its second worker."""
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    claims = []
    for _ in range(2):
        async with house.transactions.autocommit() as tx:
            claim = await tx.runs.claim(conversation.conversation_id, 10)
        assert claim is not None
        claims.append(claim)
        if len(claims) == 1:
            await _lapse(database, run)
    return Handover(house, database, owner, run, *claims)


async def _lapse(database: Database, run: Run) -> None:
    async with database.transaction() as connection:
        statement = text("UPDATE conversations.conversation SET lease_until = now() - interval '1 s' WHERE id = :id")
        await connection.execute(statement, {"id": run.conversation_id})


async def _finish(handover: Handover, claim: Claim, outcome: Outcome) -> None:
    async with handover.house.transactions.autocommit() as tx:
        await tx.runs.finish(claim, outcome, new_id(), 10)


async def _save_round(handover: Handover, claim: Claim, text: str, *, depth: int = 1) -> None:
    call = ToolCall(new_id(), "a", "order", "{}", None, CallState.STARTED)
    async with handover.house.transactions.autocommit() as tx:
        await tx.runs.save_round(claim, Round(depth, text, Metadata(), (call,), datetime.now(UTC)))


async def _renew(handover: Handover, claim: Claim) -> None:
    async with handover.house.transactions.autocommit() as tx:
        if not await tx.runs.renew(handover.run.conversation_id, claim.fence):
            raise LeaseLost


async def _release(handover: Handover, claim: Claim) -> None:
    async with handover.house.transactions.autocommit() as tx:
        await tx.runs.release(handover.run.conversation_id, claim.fence)


_ANSWERED = partial(_finish, outcome=Outcome(RunState.SUCCEEDED, "late", Metadata("late", 1, 1, "stop")))
_FAILED = partial(_finish, outcome=Outcome(RunState.FAILED, error_reason="LATE", error_message="late"))
_CANCELLED = partial(_finish, outcome=Outcome(RunState.CANCELLED, "la", Metadata(finish_reason="cancelled")))


@pytest.mark.parametrize("write", [_ANSWERED, _FAILED, _CANCELLED, partial(_save_round, text="late"), _renew])
async def test_a_write_of_a_late_worker_is_refused_and_leaves_no_trace(
    handover: Handover, write: Callable[[Handover, Claim], Awaitable[None]]
) -> None:
    before = await handover.stored()
    with pytest.raises(LeaseLost):
        await write(handover, handover.late)
    assert await handover.stored() == before
    await write(handover, handover.held)


async def test_a_late_worker_does_not_change_a_round_that_its_successor_stored(handover: Handover) -> None:
    await _save_round(handover, handover.held, "of the successor")
    before = await handover.stored()
    with pytest.raises(LeaseLost):
        await _save_round(handover, handover.late, "late")
    assert await handover.stored() == before


async def test_a_late_worker_does_not_give_its_successors_lease_back(handover: Handover) -> None:
    before = await handover.stored()
    await _release(handover, handover.late)
    assert await handover.stored() == before
    async with handover.house.transactions.autocommit() as tx:
        assert await tx.runs.claim(handover.run.conversation_id, 10) is None, "a third worker answers beside the second"
    await _release(handover, handover.held)
    async with handover.house.transactions.autocommit() as tx:
        assert await tx.runs.claim(handover.run.conversation_id, 10) is not None


async def test_a_late_heartbeat_does_not_lengthen_its_successors_lease(handover: Handover) -> None:
    await _lapse(handover.database, handover.run)
    with pytest.raises(LeaseLost):
        await _renew(handover, handover.late)
    async with handover.house.transactions.autocommit() as tx:
        assert await tx.runs.claim(handover.run.conversation_id, 10) is not None, "the third worker waits for nobody"


@pytest.mark.parametrize(
    "late", [RunEvent("delta", text="late"), RunEvent("failed", error_reason="LATE"), RunEvent("completed")]
)
async def test_a_late_event_is_refused_between_the_events_of_the_successor(handover: Handover, late: RunEvent) -> None:
    events, run_id = handover.house.events, handover.run.run_id
    await events.append(run_id, handover.late.fence, [RunEvent("started"), RunEvent("delta", text="half")], 0)
    last = await events.append(run_id, handover.held.fence, [RunEvent("restarted", attempt=2)], 0)
    for _ in range(2):
        with pytest.raises(LeaseLost):
            await events.append(run_id, handover.late.fence, [late], last)
    assert await events.append(run_id, handover.held.fence, [RunEvent("delta", text="whole")], last) == last + 1
    await events.end(run_id, RunEvent("cancelled"))
    seen = [event async for event in events.follow(run_id, 0) if event is not None]
    assert [event.kind for event in seen] == ["started", "delta", "restarted", "delta", "cancelled"]
    assert "late" not in [event.text for event in seen]


async def test_a_worker_that_wakes_up_beside_its_successor_does_not_end_the_run(
    house: House, owner: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way of a worker, with a heartbeat that is as asleep as the worker."""
    monkeypatch.setattr(answer_messages, "_HEARTBEAT_SECONDS", timedelta(hours=1).total_seconds())
    gates = [asyncio.Event(), asyncio.Event()]

    def script(said: Sequence[PromptMessage]) -> list[Step]:
        worker = len(house.model.prompts)
        return [f"{worker}: half", gates[worker - 1], f"{worker}: whole"]

    house.model.script = script
    conversation = await house.conversations.create(owner, "", Context(), None)
    _, run = await house.messages.send(owner, conversation.conversation_id, "hi", None)
    workers = []
    for number in (1, 2):
        workers.append(asyncio.create_task(house.answers.answer(run.conversation_id)))
        await eventually(partial(_said, house, owner, run, f"{number}: half"), seconds=30, what="the first half")
        if number == 1:
            await _lapse(database, run)
    gates[0].set()
    await workers[0]
    assert (await house.runs.get(owner, run.conversation_id, run.run_id)).state is RunState.RUNNING
    gates[1].set()
    await workers[1]
    events = [event async for event in house.runs.follow(owner, run.conversation_id, run.run_id, 0)]
    assert [event.text for event in events if event.kind == "delta"] == ["1: half", "2: half", "2: whole"]
    messages, _ = await house.messages.page(owner, run.conversation_id, 0, "")
    assert [one.text for one in messages] == ["hi", "2: half2: whole"]


async def _said(house: House, owner: str, run: Run, text: str) -> bool:
    async for event in house.runs.follow(owner, run.conversation_id, run.run_id, 0):
        if event.text == text:
            return True
    return False
