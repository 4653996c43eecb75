"""The look after calls that nobody is at: each stands for itself."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import text

from services.chassis.owners import Who
from services.tools.operations import recover_calls
from services.tools.rules import Call, CallState
from tests.acceptance.tools.conftest import House


@asynccontextmanager
async def refused(house: House, call: Call) -> AsyncIterator[None]:
    """Let PostgreSQL refuse every change of a call."""
    name = f"refuse_{call.call_id.hex}"
    async with house.database.transaction() as connection:
        body = "$$BEGIN RAISE EXCEPTION 'refused'; END$$"
        await connection.execute(text(f"CREATE FUNCTION tools.{name}() RETURNS trigger LANGUAGE plpgsql AS {body}"))
        await connection.execute(
            text(
                f"CREATE TRIGGER {name} BEFORE UPDATE ON tools.call FOR EACH ROW "
                f"WHEN (OLD.id = '{call.call_id}') EXECUTE FUNCTION tools.{name}()"
            )
        )
    try:
        yield
    finally:
        async with house.database.transaction() as connection:
            await connection.execute(text(f"DROP FUNCTION tools.{name} CASCADE"))
            await connection.execute(text("DELETE FROM tools.call WHERE id = :id"), {"id": call.call_id})


async def late(house: House, column: str, *calls: Call) -> None:
    """Let a time of calls lie back."""
    async with house.database.transaction() as connection:
        statement = text(f"UPDATE tools.call SET {column} = now() - interval '1 hour' WHERE id = ANY(:ids)")  # noqa: S608
        await connection.execute(statement, {"ids": [call.call_id for call in calls]})


async def lost(house: House, ann: Who) -> list[Call]:
    """Return calls whose worker is gone."""
    calls = await house.request(ann, *[await house.tool(ann, "/order")] * 5)
    for call in calls:
        await house.dispatching.claim(call.call_id)
    await late(house, "lease_until", *calls)
    return calls


async def overdue(house: House, ann: Who) -> list[Call]:
    """Return calls that nobody approved in time."""
    calls = await house.request(ann, *[await house.tool(ann, "/order", needs_approval=True)] * 5)
    await late(house, "approval_until", *calls)
    return calls


@pytest.mark.parametrize(("stuck", "state"), [(lost, CallState.UNKNOWN), (overdue, CallState.DENIED)])
async def test_a_call_that_the_store_refuses_holds_up_the_end_of_no_other(
    house: House,
    ann: Who,
    stuck: Callable[[House, Who], Awaitable[list[Call]]],
    state: CallState,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # More refused ones than a page holds.
    monkeypatch.setattr(recover_calls, "_BATCH", 2)
    calls = sorted(await stuck(house, ann), key=lambda one: one.call_id)
    async with AsyncExitStack() as stack:
        for call in calls[:3]:
            await stack.enter_async_context(refused(house, call))
        await house.recovery.recover()
        seen = await house.calls.wait([one.call_id for one in calls], 0)
    assert [one.state is state for one in seen] == [False] * 3 + [True] * 2


async def test_a_call_that_the_store_refuses_holds_up_the_nudge_of_no_other(house: House, ann: Who) -> None:
    calls = sorted(await house.request(ann, *[await house.tool(ann, "/order")] * 3), key=lambda one: one.call_id)
    await late(house, "nudged_at", *calls)
    async with refused(house, calls[0]):
        await house.recovery.recover()
        async with house.database.autocommit() as connection:
            query = text("SELECT count(*) FROM tools.outbox WHERE key = :key")
            nudges = [await connection.scalar(query, {"key": str(one.call_id)}) for one in calls]
    assert nudges == [1, 2, 2]
