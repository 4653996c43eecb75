"""Replaying, discarding and watching it, on a real PostgreSQL."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.chassis.errors import InvalidFields
from services.chassis.identifiers import new_id
from services.operations.errors import (
    DeadLetterClosed,
    DeadLetterNotFound,
    EtagMismatch,
    FilterInvalid,
    OperationNotFound,
    OperationRunning,
    RequestIdReused,
)
from services.operations.operations.archive_dead_letters import ArchiveDeadLetters
from services.operations.operations.replay_dead_letters import ReplayDeadLetters
from services.operations.operations.run_operations import RunOperations
from services.operations.ports import Lease
from services.operations.rules import DeadLetter, FailedMessage, LetterFilter, LetterState, Operation, OperationState
from tests.acceptance.operations.conftest import Desk, failed


class _Given:
    """A source that gives what the test gave it."""

    def __init__(self, messages: Sequence[FailedMessage]) -> None:
        self._messages = messages

    def taken(self, limit: int) -> "_Given":
        return self

    async def __aenter__(self) -> Sequence[FailedMessage]:
        return self._messages

    async def __aexit__(self, *_: object) -> None:
        return None

    async def close(self) -> None:
        return None


async def archive(desk: Desk, *messages: FailedMessage) -> list[DeadLetter]:
    """Put messages on the desk and return all letters, the oldest first."""
    await ArchiveDeadLetters(desk.transactions, _Given(messages)).archive()
    page, _ = await desk.letters.page(LetterFilter(), 1000, "")
    return list(page)[::-1]


async def states(desk: Desk) -> list[str]:
    page, _ = await desk.letters.page(LetterFilter(), 1000, "")
    return [letter.state.value for letter in page][::-1]


async def lease(desk: Desk) -> Lease | None:
    async with desk.transactions.begin() as tx:
        return await tx.operations.lease(timedelta(seconds=15))


async def run_all(desk: Desk) -> None:
    while (found := await lease(desk)) is not None:
        await desk.running.run(found)


async def begin(desk: Desk, chosen: LetterFilter | None = None, rate: int = 1000, **more: object) -> Operation:
    options = {"request_id": None, "dry_run": False} | more
    return await desk.replays.chosen(chosen or LetterFilter(), rate, "ann", **options)  # type: ignore[arg-type]


async def test_the_same_failure_counts_once_and_another_one_opens_the_letter_again(desk: Desk) -> None:
    (letter,) = await archive(desk, failed(1), failed(1))
    assert (letter.failures, letter.state) == (1, LetterState.OPEN)
    await desk.replays.one(letter.letter_id, "ann")
    (same,) = await archive(desk, failed(1))
    assert (same.failures, same.state) == (1, LetterState.REPLAYED)
    (again,) = await archive(desk, failed(1, key="second", error="worse"))
    assert (again.letter_id, again.failures, again.state) == (letter.letter_id, 2, LetterState.OPEN)
    assert (again.message.error, again.closed_by, again.closed_at) == ("worse", "", None)
    (late,) = await archive(desk, failed(1))
    assert (late.failures, late.state) == (2, LetterState.OPEN), "the first failure once more"


async def test_replaying_twice_does_it_once(desk: Desk) -> None:
    (letter,) = await archive(desk, failed(1))
    tries = await asyncio.gather(
        *[desk.replays.one(letter.letter_id, "ann") for _ in range(10)], return_exceptions=True
    )
    assert sum(isinstance(one, DeadLetter) for one in tries) == 1
    assert sum(isinstance(one, DeadLetterClosed) for one in tries) == 9
    (sent,) = await desk.sent()
    message = json.loads(sent)
    assert (message["message_id"], message["kwargs"], message["options"]) == ("message-1", {"number": 1}, {})


async def test_a_replay_that_came_back_can_be_replayed_again(desk: Desk) -> None:
    for number in range(3):
        (letter,) = await archive(desk, failed(1, key=str(number)))
        await desk.replays.one(letter.letter_id, "ann")
        with pytest.raises(DeadLetterClosed):
            await desk.replays.one(letter.letter_id, "ann")
    assert len(await desk.sent()) == 3


async def test_a_discarded_one_is_not_replayed(desk: Desk) -> None:
    one, _ = await archive(desk, failed(1), failed(2))
    assert (await desk.letters.discard(one.letter_id, "bob")).closed_by == "bob"
    for again in (desk.letters.discard(one.letter_id, "bob"), desk.replays.one(one.letter_id, "bob")):
        with pytest.raises(DeadLetterClosed):
            await again
    await begin(desk)
    await run_all(desk)
    assert await states(desk) == ["discarded", "replayed"]
    assert len(await desk.sent()) == 1
    with pytest.raises(DeadLetterNotFound):
        await desk.letters.get(new_id())


async def test_of_fifty_who_edit_at_once_none_overwrites_another(desk: Desk) -> None:
    (letter,) = await archive(desk, failed(1, payload='{"count": 0}'))

    async def increase() -> None:
        while True:
            found = await desk.letters.get(letter.letter_id)
            count = json.loads(found.message.payload)["count"]
            try:
                await desk.letters.update(
                    letter.letter_id, json.dumps({"count": count + 1}), f'"{found.version}"', ["payload"], "ann"
                )
            except EtagMismatch:
                continue
            return

    await asyncio.gather(*[increase() for _ in range(50)])
    assert json.loads((await desk.letters.get(letter.letter_id)).message.payload) == {"count": 50}


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        (LetterFilter(), [0, 1, 2, 3, 4, 5]),
        (LetterFilter(queue="odd"), [1, 3, 5]),
        (LetterFilter(actor="incoming"), [0, 2, 4]),
        (LetterFilter(organization_id="org-1"), [1, 3, 5]),
        (LetterFilter(text="NUMBER 3"), [3]),
        (LetterFilter(text='"number": 4'), [4]),
        (LetterFilter(text="%"), []),
        (LetterFilter(text="_"), []),
        (LetterFilter(failed_from=failed(2).failed_at), [2, 3, 4, 5]),
        (LetterFilter(failed_before=failed(2).failed_at), [0, 1]),
        (LetterFilter(failed_from=failed(1).failed_at, failed_before=failed(4).failed_at, queue="odd"), [1, 3]),
        (LetterFilter(state=LetterState.OPEN), [0, 1, 2, 3, 4, 5]),
        (LetterFilter(state=LetterState.REPLAYED), []),
    ],
)
async def test_a_filter_chooses_for_lists_counts_and_replays_alike(
    desk: Desk, chosen: LetterFilter, numbers: list[int]
) -> None:
    await archive(desk, *[failed(number, queue="odd" if number % 2 else "incoming") for number in range(6)])
    page, _ = await desk.letters.page(chosen, 0, "")
    assert sorted(json.loads(letter.message.payload)["number"] for letter in page) == numbers
    if chosen.state is not LetterState.REPLAYED:
        counted = await begin(desk, chosen, dry_run=True)
        assert (counted.state, counted.total, counted.done) == (OperationState.SUCCEEDED, len(numbers), 0)
        assert await desk.sent() == []
        await begin(desk, chosen)
        await run_all(desk)
        assert sorted(json.loads(sent)["kwargs"]["number"] for sent in await desk.sent()) == numbers


async def test_pages_hold_each_letter_once(desk: Desk) -> None:
    await archive(desk, *[failed(number) for number in range(25)])
    found, token = [], ""
    while True:
        page, token = await desk.letters.page(LetterFilter(queue="incoming"), 10, token)
        found += [letter.letter_id for letter in page]
        if not token:
            break
        with pytest.raises(InvalidFields):
            await desk.letters.page(LetterFilter(), 10, token)
    assert len(found) == len(set(found)) == 25
    assert found == sorted(found, reverse=True)


async def test_many_are_replayed_oldest_first_and_what_comes_meanwhile_is_left(desk: Desk) -> None:
    await archive(desk, *[failed(number) for number in range(250)])
    operation = await begin(desk)
    assert (operation.total, operation.state) == (250, OperationState.RUNNING)
    await archive(desk, failed(900))
    await run_all(desk)
    ended = await desk.operations.get(operation.operation_id)
    assert (ended.state, ended.done) == (OperationState.SUCCEEDED, 250)
    assert [json.loads(sent)["kwargs"]["number"] for sent in await desk.sent()] == list(range(250))
    assert (await states(desk))[-1] == "open"


async def test_replays_keep_to_their_rate(desk: Desk) -> None:
    await archive(desk, *[failed(number) for number in range(25)])
    operation = await begin(desk, rate=10)
    started = asyncio.get_running_loop().time()
    await run_all(desk)
    assert asyncio.get_running_loop().time() - started >= 2.4, "25 at 10 a second"
    assert (await desk.operations.get(operation.operation_id)).done == 25


async def test_a_killed_replay_goes_on_where_it_was(desk: Desk) -> None:
    await archive(desk, *[failed(number) for number in range(300)])
    operation = await begin(desk)
    first = await lease(desk)
    assert first is not None
    await desk.running._step(first)
    # Its process is gone. The lease holds others off until it has run out.
    assert await lease(desk) is None
    async with desk.database.transaction() as connection:
        await connection.execute(text("UPDATE operations.operation SET lease_until = now() - interval '1 second'"))
    await run_all(desk)
    # It was only asleep: its fence is old, and it does nothing more.
    assert await desk.running._step(first) is None
    assert (await desk.operations.get(operation.operation_id)).done == 300
    sent = [json.loads(one)["message_id"] for one in await desk.sent()]
    assert len(sent) == len(set(sent)) == 300


async def test_a_step_that_fails_leaves_no_trace(desk: Desk) -> None:
    await archive(desk, *[failed(number) for number in range(5)])
    operation = await begin(desk)
    held = await lease(desk)
    assert held is not None

    def broken() -> datetime:
        raise RuntimeError("the machine is gone")

    dying = RunOperations(desk.transactions, ReplayDeadLetters(desk.transactions, broken), desk.clock)
    with pytest.raises(RuntimeError, match="gone"):
        await dying._step(held)
    assert await desk.sent() == []
    assert await states(desk) == ["open"] * 5
    await desk.running.run(held)
    assert (await desk.operations.get(operation.operation_id)).done == 5


async def test_a_replay_can_be_cancelled_between_two_steps(desk: Desk) -> None:
    await archive(desk, *[failed(number) for number in range(250)])
    operation = await begin(desk)
    held = await lease(desk)
    assert held is not None
    await desk.running._step(held)
    with pytest.raises(OperationRunning):
        await desk.operations.delete(operation.operation_id, "ann")
    await desk.operations.cancel(operation.operation_id, "ann")
    await desk.running.run(held)
    ended = await desk.operations.get(operation.operation_id)
    assert (ended.state, ended.done, ended.error) == (OperationState.CANCELLED, 100, "cancelled")
    assert len(await desk.sent()) == 100
    await desk.operations.cancel(operation.operation_id, "ann")
    await desk.operations.delete(operation.operation_id, "ann")
    with pytest.raises(OperationNotFound):
        await desk.operations.get(operation.operation_id)


async def test_waiting_ends_with_the_operation_or_with_patience(desk: Desk) -> None:
    await archive(desk, failed(1))
    operation = await begin(desk)
    assert not (await desk.operations.wait(operation.operation_id, 0.05)).has_ended
    waiting = asyncio.create_task(desk.operations.wait(operation.operation_id, 20))
    await run_all(desk)
    assert (await waiting).state is OperationState.SUCCEEDED


async def test_an_ended_operation_is_forgotten_after_thirty_days(desk: Desk) -> None:
    await archive(desk, failed(1))
    ended, running = await begin(desk, dry_run=True), await begin(desk)
    for days, left in ((29, 2), (31, 1)):
        async with desk.transactions.begin() as tx:
            await tx.operations.forget_expired(desk.now + timedelta(days=days))
        assert len((await desk.operations.page(0, ""))[0]) == left
    assert (await desk.operations.get(running.operation_id)).expire_at is None
    with pytest.raises(OperationNotFound):
        await desk.operations.get(ended.operation_id)


async def test_a_repeated_request_begins_one_operation(desk: Desk) -> None:
    await archive(desk, failed(1))
    request_id = new_id()
    found = await asyncio.gather(*[begin(desk, request_id=request_id) for _ in range(20)])
    assert len({operation.operation_id for operation in found}) == 1
    with pytest.raises(RequestIdReused):
        await begin(desk, LetterFilter(queue="other"), request_id=request_id)
    with pytest.raises(FilterInvalid):
        await begin(desk, LetterFilter(state=LetterState.DISCARDED))


async def test_who_did_what_is_written_down_and_stays(desk: Desk) -> None:
    one, other = await archive(desk, failed(1), failed(2))
    await desk.letters.update(one.letter_id, "{}", "", [], "ann")
    await desk.replays.one(one.letter_id, "bob")
    await desk.letters.discard(other.letter_id, "cid")
    actions, _ = await desk.operations.actions(None, 0, "")
    assert [(action.verb, action.actor_id, action.subject_id) for action in actions] == [
        ("discard", "cid", other.letter_id),
        ("replay", "bob", one.letter_id),
        ("update", "ann", one.letter_id),
    ]
    assert actions[2].details == {"before": '{"number": 1}', "after": "{}"}
    of_one, _ = await desk.operations.actions(one.letter_id, 0, "")
    assert len(of_one) == 2
    for statement in (
        "UPDATE operations.action SET actor_id = 'nobody'",
        "DELETE FROM operations.action",
        "TRUNCATE operations.action",
    ):
        with pytest.raises(DBAPIError, match="only ever added to"):
            async with desk.database.transaction() as connection:
                await connection.execute(text(statement))
    assert await desk.operations.actions(None, 0, "") == (actions, "")


async def test_a_refused_change_is_not_written_down(desk: Desk) -> None:
    (letter,) = await archive(desk, failed(1))
    with pytest.raises(EtagMismatch):
        await desk.letters.update(letter.letter_id, "{}", '"9"', [], "ann")
    with pytest.raises(DeadLetterNotFound):
        await desk.letters.discard(UUID(int=5), "ann")
    assert await desk.operations.actions(None, 0, "") == ([], "")
    assert await desk.letters.get(letter.letter_id) == replace(letter)
