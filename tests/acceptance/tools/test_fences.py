"""A worker that slept through its lease and writes WHILE another one does the call: nothing of it counts."""

import pytest
from sqlalchemy import text

from services.chassis.owners import Who
from services.tools.ports import Claim
from services.tools.rules import Call, CallState, Outcome
from tests.acceptance.tools.conftest import House

_LATE = Outcome(CallState.SUCCEEDED, "late")
_FAILED = Outcome(CallState.FAILED, "", "LATE", "late")
_UNKNOWN = Outcome(CallState.UNKNOWN, "", "OUTCOME_UNKNOWN", "late")
_GIVEN_BACK = None


async def _claimed(house: House, call: Call) -> Claim:
    claim = await house.dispatching.claim(call.call_id)
    assert claim is not None
    return claim


async def _row(house: House, call: Call) -> tuple[object, ...]:
    async with house.database.autocommit() as connection:
        statement = text("SELECT * FROM tools.call WHERE id = :id")
        return tuple((await connection.execute(statement, {"id": call.call_id})).one())


async def _lapse(house: House, call: Call) -> None:
    async with house.database.transaction() as connection:
        statement = text("UPDATE tools.call SET lease_until = now() - interval '1 s' WHERE id = :id")
        await connection.execute(statement, {"id": call.call_id})


async def _finished(house: House, claim: Claim, outcome: Outcome | None) -> Call | None:
    async with house.transactions.begin() as tx:
        return await tx.calls.finish(claim, outcome)


@pytest.mark.parametrize("outcome", [_LATE, _FAILED, _UNKNOWN, _GIVEN_BACK])
async def test_what_a_late_worker_brings_is_refused_while_its_successor_does_the_call(
    house: House, ann: Who, outcome: Outcome | None
) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order", idempotent=True))
    late = await _claimed(house, call)
    await _lapse(house, call)
    await house.recovery.recover()
    held = await _claimed(house, call)
    assert held.fence > late.fence
    before = await _row(house, call)
    assert await _finished(house, late, outcome) is None
    assert await _row(house, call) == before
    ended = await _finished(house, held, Outcome(CallState.SUCCEEDED, "of the successor"))
    assert ended is not None
    assert (ended.state, ended.result, ended.attempt) == (CallState.SUCCEEDED, "of the successor", 2)


@pytest.mark.parametrize("outcome", [_LATE, _FAILED, _UNKNOWN, _GIVEN_BACK])
async def test_what_a_late_worker_brings_is_refused_while_its_call_is_being_taken_over(
    house: House, ann: Who, outcome: Outcome | None
) -> None:
    """Between the two steps of the recovery the call is still running, and only the fence has changed."""
    (call,) = await house.request(ann, await house.tool(ann, "/order"))
    late = await _claimed(house, call)
    await _lapse(house, call)
    async with house.transactions.begin() as tx:
        taken = await tx.calls.take_over(call.call_id)
    assert taken is not None
    assert await _finished(house, late, outcome) is None
    ended = await _finished(house, taken, _UNKNOWN)
    assert ended is not None
    assert ended.state is CallState.UNKNOWN


async def test_a_call_that_is_being_done_is_not_taken_over_before_its_lease_has_run_out(house: House, ann: Who) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order", idempotent=True))
    held = await _claimed(house, call)
    await house.recovery.recover()
    async with house.transactions.begin() as tx:
        assert await tx.calls.take_over(call.call_id) is None
    assert await _finished(house, held, _LATE) is not None


@pytest.mark.parametrize("outcome", [_LATE, _FAILED, _UNKNOWN, _GIVEN_BACK])
async def test_a_call_that_has_ended_stays_as_it_is(house: House, ann: Who, outcome: Outcome | None) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order"))
    claim = await _claimed(house, call)
    assert await _finished(house, claim, Outcome(CallState.SUCCEEDED, "once")) is not None
    before = await _row(house, call)
    assert await _finished(house, claim, outcome) is None
    assert await _row(house, call) == before


async def test_two_workers_never_hold_a_call_under_the_same_fence(house: House, ann: Who) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order", idempotent=True))
    fences = []
    for _ in range(4):
        fences.append((await _claimed(house, call)).fence)
        await _lapse(house, call)
        await house.recovery.recover()
    assert fences == sorted(set(fences))
