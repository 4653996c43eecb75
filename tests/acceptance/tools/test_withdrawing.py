"""Calls of a run that has ended: what was not begun is never done, whoever approves it or asks for it later."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import grpc
import pytest
from parley.tools.v1.tool_call_pb2 import TOOL_CALL_STATE_WITHDRAWN
from parley.tools.v1.tool_call_service_pb2 import WithdrawToolCallsRequest, WithdrawToolCallsResponse
from parley.tools.v1.tool_call_service_pb2_grpc import ToolCallServiceStub
from sqlalchemy import text

from services.chassis.identifiers import new_id
from services.chassis.owners import Who
from services.tools.errors import NotWaiting
from services.tools.operations.forget_calls import ForgetCalls
from services.tools.operations.request_calls import Origin, Wanted
from services.tools.rules import Call, CallState
from tests.acceptance.tools.conftest import House
from tests.support.served import served


def run_of(call: Call) -> UUID:
    """Return the run of a call."""
    assert call.run_id is not None
    return call.run_id


async def standing(house: House, *calls: Call) -> list[Call]:
    """Return how calls stand."""
    return await house.calls.wait([one.call_id for one in calls], 0)


async def test_calls_that_were_not_begun_are_withdrawn_and_never_done(house: House, ann: Who) -> None:
    asked, plain = await house.tool(ann, "/order", needs_approval=True), await house.tool(ann, "/order")
    waiting, approved, queued = await house.request(ann, asked, asked, plain)
    (other,) = await house.request(ann, plain)
    await house.deciding.approve(ann, approved.call_id)
    withdrawn = await house.withdrawing.withdraw(run_of(waiting))
    assert {(one.call_id, one.state, one.error_reason) for one in withdrawn} == {
        (one.call_id, CallState.WITHDRAWN, "RUN_ENDED") for one in (waiting, approved, queued)
    }
    assert (await house.deciding.get(ann, approved.call_id)).decided_by == ann.user_id
    with pytest.raises(NotWaiting) as refused:
        await house.deciding.approve(ann, waiting.call_id)
    assert "withdrawn" in refused.value.message
    for call in (waiting, approved, queued, other):
        await house.dispatching.dispatch(call.call_id)
    assert len(house.seen.requests) == 1
    assert [one.state for one in await standing(house, other)] == [CallState.SUCCEEDED]
    # Again changes nothing.
    assert {one.call_id: one for one in await house.withdrawing.withdraw(run_of(waiting))} == {
        one.call_id: one for one in withdrawn
    }


async def test_a_call_that_is_being_done_is_left_alone(house: House, ann: Who) -> None:
    slow = await house.tool(ann, "/slow")
    running, queued = await house.request(ann, slow, slow)
    doing = asyncio.create_task(house.dispatching.dispatch(running.call_id))
    async with asyncio.timeout(30):
        while not house.seen.requests:
            await asyncio.sleep(0.01)
    assert [one.call_id for one in await house.withdrawing.withdraw(run_of(running))] == [queued.call_id]
    house.seen.go_on.set()
    await doing
    ended, withdrawn = await standing(house, running, queued)
    assert (ended.state, ended.result) == (CallState.SUCCEEDED, "at last")
    assert withdrawn.state is CallState.WITHDRAWN


async def test_a_call_that_is_given_back_after_its_run_is_not_begun_again(house: House, ann: Who) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order", idempotent=True))
    assert await house.dispatching.claim(call.call_id) is not None
    assert await house.withdrawing.withdraw(run_of(call)) == []
    async with house.database.transaction() as connection:
        statement = text("UPDATE tools.call SET lease_until = now() - interval '1 s' WHERE id = :id")
        await connection.execute(statement, {"id": call.call_id})
    await house.recovery.recover()
    await house.dispatching.dispatch(call.call_id)
    (ended,) = await standing(house, call)
    assert (ended.state, ended.error_reason) == (CallState.UNKNOWN, "OUTCOME_UNKNOWN")
    assert house.seen.requests == []
    assert [one.call_id for one in await house.withdrawing.withdraw(run_of(call))] == [call.call_id]


async def test_what_is_asked_for_after_its_run_is_withdrawn_at_once(house: House, ann: Who) -> None:
    asked, run_id = await house.tool(ann, "/order", needs_approval=True), new_id()
    plain = await house.tool(ann, "/order")
    assert await house.withdrawing.withdraw(run_id) == []
    wanted = [Wanted(new_id(), tool.tool_id, "{}") for tool in (asked, plain)]
    late = await house.calls.request(wanted, Origin(ann.user_id, "", new_id(), run_id))
    assert [one.state for one in late] == [CallState.WITHDRAWN] * 2
    with pytest.raises(NotWaiting):
        await house.deciding.approve(ann, late[0].call_id)
    for call in late:
        await house.dispatching.dispatch(call.call_id)
    assert house.seen.requests == []


async def test_asking_and_withdrawing_at_once_leave_no_call_open(house: House, ann: Who) -> None:
    asked = await house.tool(ann, "/order", needs_approval=True)
    for _ in range(10):
        run_id, wanted = new_id(), [Wanted(new_id(), asked.tool_id, "{}")]
        calls, _ = await asyncio.gather(
            house.calls.request(wanted, Origin(ann.user_id, "", new_id(), run_id)), house.withdrawing.withdraw(run_id)
        )
        assert [one.state for one in await standing(house, *calls)] == [CallState.WITHDRAWN]


async def test_who_waits_for_a_call_hears_that_it_is_withdrawn(house: House, ann: Who) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order", needs_approval=True))
    waiting = asyncio.create_task(house.calls.wait([call.call_id], 60))
    await house.withdrawing.withdraw(run_of(call))
    assert [one.state for one in await waiting] == [CallState.WITHDRAWN]


async def test_ended_runs_are_forgotten_with_their_calls(house: House, ann: Who) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order"))
    await house.withdrawing.withdraw(run_of(call))
    await ForgetCalls(house.transactions, timedelta(days=-1), lambda: datetime.now(UTC)).forget()
    async with house.database.autocommit() as connection:
        query = text("SELECT count(*) FROM tools.ended_run WHERE id = :id")
        assert await connection.scalar(query, {"id": run_of(call)}) == 0


async def test_conversations_withdraws_over_grpc(
    house: House, ann: Who, postgres_url: str, valkey_url: str, tmp_path: Path
) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order", needs_approval=True), arguments='{"n": 1}')
    async with served("tools", tmp_path, postgres_url, valkey_url) as channel:
        calls = ToolCallServiceStub(channel)
        answers: list[WithdrawToolCallsResponse] = [
            await calls.WithdrawToolCalls(WithdrawToolCallsRequest(run_id=str(call.run_id))) for _ in range(2)
        ]
        assert answers[0] == answers[1]
        ((told),) = answers[0].calls
        assert (told.id, told.state, told.error.reason, told.arguments) == (
            str(call.call_id),
            TOOL_CALL_STATE_WITHDRAWN,
            "RUN_ENDED",
            "",
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await calls.WithdrawToolCalls(WithdrawToolCallsRequest(run_id="no id"))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
