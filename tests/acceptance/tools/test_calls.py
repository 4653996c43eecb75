"""Calls: done once, beside each other, again only when that does no harm, and after approval when it is needed."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from services.chassis.identifiers import new_id
from services.chassis.owners import Who
from services.chassis.secret_stores.environment import variable_of
from services.tools.errors import (
    ArgumentsInvalid,
    CallNotFound,
    DepthExceeded,
    NotWaiting,
    RequestIdReused,
    ToolNotFound,
)
from services.tools.operations.forget_calls import ForgetCalls
from services.tools.operations.request_calls import Origin, Wanted
from services.tools.ports import CallFilter
from services.tools.rules import CallState, SecretHeader, secret_name
from tests.acceptance.tools.conftest import House


async def age(house: House, call_id: UUID, column: str, interval: str = "1 hour") -> None:
    """Let a time of a call lie back."""
    async with house.database.transaction() as connection:
        statement = text(f"UPDATE tools.call SET {column} = now() - interval '{interval}' WHERE id = :id")  # noqa: S608
        await connection.execute(statement, {"id": call_id})


async def begun(house: House) -> None:
    """Wait until the server was asked."""
    async with asyncio.timeout(10):
        while not house.seen.requests:
            await asyncio.sleep(0.01)


async def test_a_call_is_done_once_whatever_is_delivered_twice(house: House, ann: Who) -> None:
    tool = await house.tool(ann, "/order")
    (call,) = await house.request(ann, tool, arguments='{"n": 1}')
    await asyncio.gather(*[house.dispatching.dispatch(call.call_id) for _ in range(10)])
    (ended,) = await house.calls.wait([call.call_id], 0)
    assert (ended.state, ended.result, ended.attempt) == (CallState.SUCCEEDED, "seen 1", 1)
    ((_, _, headers, body),) = house.seen.requests
    assert headers["idempotency-key"] == str(call.call_id)
    assert body == b'{"n":1}'


async def test_the_same_call_id_is_one_call_and_nobody_elses(house: House, ann: Who, bob: Who) -> None:
    tool = await house.tool(ann, "/order")
    wanted = [Wanted(new_id(), tool.tool_id, "{}")]
    first = await house.calls.request(wanted, Origin(ann.user_id))
    assert await house.calls.request(wanted, Origin(ann.user_id)) == first
    with pytest.raises(RequestIdReused):
        await house.calls.request(wanted, Origin(bob.user_id))
    async with house.database.autocommit() as connection:
        query = text("SELECT count(*) FROM tools.outbox WHERE key = :key")
        assert await connection.scalar(query, {"key": str(wanted[0].call_id)}) == 1


async def test_calls_are_done_beside_each_other(house: House, ann: Who) -> None:
    slow, quick = await house.tool(ann, "/slow"), await house.tool(ann, "/order")
    calls = await house.request(ann, slow, quick, quick)
    tasks = [asyncio.create_task(house.dispatching.dispatch(call.call_id)) for call in calls]
    await asyncio.gather(*tasks[1:])
    states = [call.state for call in await house.calls.wait([call.call_id for call in calls], 0)]
    assert states == [CallState.RUNNING, CallState.SUCCEEDED, CallState.SUCCEEDED]
    waiting = asyncio.create_task(house.calls.wait([calls[0].call_id], 10))
    house.seen.go_on.set()
    ((ended,),) = await asyncio.gather(waiting)
    assert (ended.state, ended.result) == (CallState.SUCCEEDED, "at last")
    await tasks[0]


async def test_what_is_wrong_with_one_call_ends_that_call_alone(house: House, ann: Who, bob: Who) -> None:
    schema = '{"type": "object", "required": ["city"]}'
    good, strict = await house.tool(ann, "/order"), await house.tool(ann, "/order", schema=schema)
    foreign = await house.tool(bob, "/order")
    calls = await house.done(ann, good, strict, foreign)
    assert [call.state for call in calls] == [CallState.SUCCEEDED, CallState.FAILED, CallState.FAILED]
    assert [call.error_reason for call in calls] == ["", "ARGUMENTS_INVALID", "TOOL_GONE"]
    assert "city" in calls[1].error_message
    assert len(house.seen.requests) == 1
    with pytest.raises(DepthExceeded):
        await house.request(ann, good, depth=3)


@pytest.mark.parametrize(
    ("path", "idempotent", "failures", "asked", "state"),
    [
        ("/flaky?status=503", True, 2, 3, CallState.SUCCEEDED),
        ("/flaky?status=503", True, 9, 3, CallState.FAILED),
        ("/flaky?status=503", False, 1, 1, CallState.FAILED),
        ("/flaky?status=429", False, 2, 3, CallState.SUCCEEDED),
        ("/flaky?status=502", False, 1, 1, CallState.UNKNOWN),
        ("/flaky?status=404", True, 1, 1, CallState.FAILED),
    ],
)
async def test_a_try_is_repeated_only_when_that_does_no_harm(
    house: House, ann: Who, path: str, idempotent: bool, failures: int, asked: int, state: CallState
) -> None:
    house.seen.failures = failures
    (call,) = await house.done(ann, await house.tool(ann, path, idempotent=idempotent, retries=2))
    assert (call.state, len(house.seen.requests)) == (state, asked)
    assert len({headers["idempotency-key"] for _, _, headers, _ in house.seen.requests}) == 1


@pytest.mark.parametrize(("idempotent", "state"), [(False, CallState.UNKNOWN), (True, CallState.FAILED)])
async def test_a_call_that_takes_too_long_is_unknown_or_failed(
    house: House, ann: Who, idempotent: bool, state: CallState
) -> None:
    (call,) = await house.done(ann, await house.tool(ann, "/slow", timeout_seconds=1, idempotent=idempotent))
    assert (call.state, call.error_reason) == (state, "TIMEOUT")


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_call_whose_worker_died_is_never_repeated_unless_it_may_be(
    house: House, ann: Who, idempotent: bool
) -> None:
    tool = await house.tool(ann, "/slow", timeout_seconds=60, idempotent=idempotent)
    (call,) = await house.request(ann, tool)
    sleeping = asyncio.create_task(house.dispatching.dispatch(call.call_id))
    await begun(house)
    # The worker is stopped in the middle; its lease runs out.
    await age(house, call.call_id, "lease_until")
    await house.recovery.recover()
    (now,) = await house.calls.wait([call.call_id], 0)
    assert now.state is (CallState.REQUESTED if idempotent else CallState.UNKNOWN)
    # It wakes up, and what it brings is refused: its fence is not the highest any more.
    house.seen.go_on.set()
    await sleeping
    assert (await house.calls.wait([call.call_id], 0)) == [now]
    await house.dispatching.dispatch(call.call_id)
    (after,) = await house.calls.wait([call.call_id], 0)
    assert after.state is (CallState.SUCCEEDED if idempotent else CallState.UNKNOWN)
    assert len(house.seen.requests) == (2 if idempotent else 1)


async def test_a_worker_that_stops_says_that_the_outcome_is_unknown(house: House, ann: Who) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/slow", timeout_seconds=60))
    task = asyncio.create_task(house.dispatching.dispatch(call.call_id))
    await begun(house)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (ended,) = await house.calls.wait([call.call_id], 0)
    assert (ended.state, ended.error_reason) == (CallState.UNKNOWN, "OUTCOME_UNKNOWN")


async def test_a_lost_nudge_is_sent_again(house: House, ann: Who) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order"))
    await age(house, call.call_id, "nudged_at")
    await house.recovery.recover()
    async with house.database.autocommit() as connection:
        query = text("SELECT count(*) FROM tools.outbox WHERE key = :key AND topic = 'function_call'")
        assert await connection.scalar(query, {"key": str(call.call_id)}) == 2


async def test_a_call_waits_for_approval_and_is_then_done(house: House, ann: Who, bob: Who) -> None:
    tool = await house.tool(ann, "/order", needs_approval=True)
    (call,) = await house.done(ann, tool)
    assert (call.state, house.seen.requests) == (CallState.WAITING_FOR_APPROVAL, [])
    pending, _ = await house.deciding.page(ann, CallFilter(waiting_only=True), 0, "")
    assert [one.call_id for one in pending] == [call.call_id]
    with pytest.raises(CallNotFound):
        await house.deciding.approve(bob, call.call_id)
    results = await asyncio.gather(
        *[house.deciding.approve(ann, call.call_id) for _ in range(5)],
        house.deciding.deny(ann, call.call_id, ""),
        return_exceptions=True,
    )
    assert sum(isinstance(one, NotWaiting) for one in results) == 5
    assert (await house.deciding.page(ann, CallFilter(waiting_only=True), 0, ""))[0] == []
    await house.dispatching.dispatch(call.call_id)
    ended = await house.deciding.get(ann, call.call_id)
    assert ended.decided_by == ann.user_id
    assert len(house.seen.requests) == (1 if ended.state is CallState.SUCCEEDED else 0)


async def test_a_denied_or_forgotten_call_is_never_done(house: House, ann: Who) -> None:
    tool = await house.tool(ann, "/order", needs_approval=True)
    denied, forgotten = await house.request(ann, tool, tool)
    assert (await house.deciding.deny(ann, denied.call_id, "too dear")).error_message == "too dear"
    await age(house, forgotten.call_id, "approval_until")
    with pytest.raises(NotWaiting):
        await house.deciding.approve(ann, forgotten.call_id)
    await house.recovery.recover()
    for call in (denied, forgotten):
        await house.dispatching.dispatch(call.call_id)
    states = await house.calls.wait([denied.call_id, forgotten.call_id], 0)
    assert [(one.state, one.error_reason) for one in states] == [
        (CallState.DENIED, "DENIED"),
        (CallState.DENIED, "NOT_APPROVED_IN_TIME"),
    ]
    assert house.seen.requests == []


async def test_an_approval_is_void_once_the_tool_has_changed(house: House, ann: Who) -> None:
    tool = await house.tool(ann, "/order", needs_approval=True)
    (call,) = await house.request(ann, tool)
    await house.deciding.approve(ann, call.call_id)
    await house.tools.update(ann, replace(tool, description="another"), ["description"], [], "")
    await house.dispatching.dispatch(call.call_id)
    ended = await house.deciding.get(ann, call.call_id)
    assert (ended.state, ended.error_reason, house.seen.requests) == (CallState.FAILED, "TOOL_GONE", [])


async def test_a_secret_goes_into_its_header_and_nowhere_else(
    house: House, ann: Who, bob: Who, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = (SecretHeader("Authorization", "weather-key", "Bearer "),)
    await house.allow(ann, "weather-key")
    await house.allow(bob, "weather-key")
    tool = await house.tool(ann, "/order", secret_headers=header)
    (missing,) = await house.done(ann, tool)
    assert (missing.state, missing.error_reason) == (CallState.FAILED, "SECRET_MISSING")
    monkeypatch.setenv(variable_of(secret_name(ann.owner, "weather-key")), "s3cret-of-ann")
    (call,) = await house.done(ann, tool)
    assert call.state is CallState.SUCCEEDED
    assert house.seen.requests[-1][2]["authorization"] == "Bearer s3cret-of-ann"
    assert "s3cret" not in repr(call)
    # Bob names the same secret, and means his own.
    (foreign,) = await house.done(bob, await house.tool(bob, "/order", secret_headers=header))
    assert foreign.error_reason == "SECRET_MISSING"


async def test_a_tool_that_leads_inward_later_is_refused_then(house: House, ann: Who) -> None:
    tool = await house.tool(ann, "/order")
    async with house.database.transaction() as connection:
        statement = text("UPDATE tools.tool SET source = jsonb_set(source, '{http,url}', :url) WHERE id = :id")
        inward = '"http://169.254.169.254/latest/meta-data"'
        await connection.execute(statement, {"url": inward, "id": tool.tool_id})
    (call,) = await house.done(ann, tool)
    assert (call.state, call.error_reason) == (CallState.FAILED, "EGRESS_REFUSED")


async def test_an_invocation_is_answered_with_its_end(house: House, ann: Who, bob: Who) -> None:
    tool = await house.tool(ann, "/order", schema='{"type": "object", "required": ["n"]}')
    request_id = new_id()
    invoking = asyncio.create_task(house.calls.invoke(ann, tool.tool_id, '{"n": 1}', request_id))
    async with asyncio.timeout(10):
        while not await house.calls.wait([request_id], 0):
            await asyncio.sleep(0.01)
    await house.dispatching.dispatch(request_id)
    call = await invoking
    assert (call.state, call.result) == (CallState.SUCCEEDED, "seen 1")
    assert await house.calls.invoke(ann, tool.tool_id, '{"n": 1}', request_id) == call
    with pytest.raises(RequestIdReused):
        await house.calls.invoke(ann, tool.tool_id, '{"n": 2}', request_id)
    with pytest.raises(ArgumentsInvalid, match='"n"'):
        await house.calls.invoke(ann, tool.tool_id, "{}", None)
    with pytest.raises(ToolNotFound):
        await house.calls.invoke(bob, tool.tool_id, "{}", None)


async def test_pages_hold_every_call_once_the_last_one_first(house: House, ann: Who) -> None:
    tool, other = await house.tool(ann, "/order"), await house.tool(ann, "/order")
    made = [call.call_id for call in await house.request(ann, tool, tool, tool, other)]
    first, token = await house.deciding.page(ann, CallFilter(), 3, "")
    rest, end = await house.deciding.page(ann, CallFilter(), 3, token)
    assert [call.call_id for call in [*first, *rest]] == made[::-1]
    assert end == ""
    page, _ = await house.deciding.page(ann, CallFilter(tool_id=other.tool_id), 0, "")
    assert [call.call_id for call in page] == made[3:]
    page, _ = await house.deciding.page(ann, CallFilter(conversation_id=first[0].conversation_id), 0, "")
    assert len(page) == 4


async def test_old_calls_are_forgotten_but_none_of_a_run_that_waits(house: House, ann: Who) -> None:
    tool, asked = await house.tool(ann, "/order"), await house.tool(ann, "/order", needs_approval=True)
    old, young, fresh = (
        (await house.done(ann, tool))[0],
        (await house.done(ann, tool))[0],
        await house.request(ann, tool),
    )
    done, waiting = await house.done(ann, tool, asked)
    for call in (old, done, waiting, *fresh):
        for column in ("created_at", "ended_at"):
            if column == "created_at" or call.state.has_ended:
                await age(house, call.call_id, column, "91 days")
    await age(house, young.call_id, "ended_at", "89 days")
    forgetting = ForgetCalls(house.transactions, timedelta(days=90), lambda: datetime.now(UTC))
    assert await forgetting.forget() >= 1
    kept = [young, *fresh, done, waiting]
    assert [one.call_id for one in await house.calls.wait([old.call_id], 0)] == []
    assert [one.call_id for one in await house.calls.wait([one.call_id for one in kept], 0)] == [
        one.call_id for one in kept
    ]
    await house.deciding.deny(ann, waiting.call_id, "")
    assert await forgetting.forget() >= 1
    assert [one.call_id for one in await house.calls.wait([done.call_id, waiting.call_id], 0)] == [waiting.call_id]


async def test_many_old_calls_are_forgotten_in_batches(house: House, ann: Who) -> None:
    tool = await house.tool(ann, "/order")
    (call,) = await house.done(ann, tool)
    async with house.database.transaction() as connection:
        columns = "owner, user_id, tool_id, tool_name, tool_revision, arguments, state, created_at"
        copies = text(
            f"INSERT INTO tools.call (id, ended_at, {columns}) SELECT gen_random_uuid(), now() - interval '91 days', "  # noqa: S608
            f"{columns} FROM tools.call, generate_series(1, 1200) WHERE id = :id"
        )
        await connection.execute(copies, {"id": call.call_id})
    await ForgetCalls(house.transactions, timedelta(days=90), lambda: datetime.now(UTC)).forget()
    page, _ = await house.deciding.page(ann, CallFilter(), 1000, "")
    assert [one.call_id for one in page] == [call.call_id]


async def test_a_call_that_nobody_can_take_up_is_nudged_ever_less_often(house: House, ann: Who) -> None:
    (call,) = await house.request(ann, await house.tool(ann, "/order"))

    async def nudges() -> int:
        await house.recovery.recover()
        async with house.database.autocommit() as connection:
            query = text("SELECT count(*) FROM tools.outbox WHERE key = :key")
            return int(await connection.scalar(query, {"key": str(call.call_id)}) or 0)

    seen = []
    for interval in ("11 seconds", "11 seconds", "21 seconds", "21 seconds", "41 seconds", "1 day"):
        await age(house, call.call_id, "nudged_at", interval)
        seen.append(await nudges())
    assert seen == [2, 2, 3, 3, 4, 5]


async def test_whoever_waits_for_any_call_hears_of_an_approval_and_of_the_first_end(house: House, ann: Who) -> None:
    asked, quick = await house.tool(ann, "/order", needs_approval=True), await house.tool(ann, "/order")
    waiting, other = await house.request(ann, asked, quick)
    both = [waiting.call_id, other.call_id]
    listening = asyncio.create_task(house.calls.wait(both, 60, any_change=True))
    assert (await asyncio.wait({listening}, timeout=0.5))[0] == set(), "nothing has changed yet"
    await house.deciding.approve(ann, waiting.call_id)
    assert [one.state for one in await listening] == [CallState.REQUESTED] * 2
    listening = asyncio.create_task(house.calls.wait(both, 60, any_change=True))
    await house.dispatching.dispatch(other.call_id)
    assert [one.state for one in await listening] == [CallState.REQUESTED, CallState.SUCCEEDED]
