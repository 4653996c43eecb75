"""One holder at a time, and nothing is written by one that has lost its lease."""

import asyncio

import pytest
from sqlalchemy import MetaData, text

from services.chassis.database import Database
from services.chassis.heartbeat import LeaseLost
from services.chassis.locks import Leases, lease_table

_METADATA = MetaData()
_TABLE = lease_table(_METADATA, "trial")


@pytest.fixture
async def leases(empty: Database) -> Leases:
    async with empty.transaction() as connection:
        await connection.execute(text("CREATE SCHEMA trial"))
        await connection.run_sync(_METADATA.create_all)
    return Leases(empty, _TABLE, seconds=1.6)


async def _run_out(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE trial.lease SET held_until = now() - interval '1 s'"))


async def test_one_of_many_takes_a_lease(leases: Leases) -> None:
    fences = await asyncio.gather(*[leases.take("reports") for _ in range(10)])
    assert sorted(fences, key=str) == [1] + [None] * 9
    assert await leases.take("mail") == 1


async def test_a_lease_that_was_given_back_is_had_at_once_with_a_higher_fence(leases: Leases) -> None:
    first = await leases.take("reports")
    assert first == 1
    await leases.release("reports", first)
    assert await leases.take("reports") == 2


async def test_a_heartbeat_that_is_late_keeps_nobody_out(leases: Leases) -> None:
    first = await leases.take("reports")
    assert first is not None
    await leases.release("reports", first)
    assert await leases.renew("reports", first), "nobody else has it"
    assert await leases.take("reports") == first + 1


async def test_whoever_slept_through_the_lease_writes_nothing(empty: Database, leases: Leases) -> None:
    first = await leases.take("reports")
    await _run_out(empty)
    second = await leases.take("reports")
    assert (first, second) == (1, 2)
    assert not await leases.renew("reports", 1)
    await leases.release("reports", 1)
    assert await leases.take("reports") is None
    async with empty.transaction() as connection:
        await leases.check(connection, "reports", 2)
        with pytest.raises(LeaseLost):
            await leases.check(connection, "reports", 1)


async def test_a_lease_is_kept_for_as_long_as_the_work_takes(leases: Leases) -> None:
    fence = await leases.take("reports")
    assert fence is not None
    loop = asyncio.get_running_loop()
    async with leases.held("reports", fence):
        begun = loop.time()
        while loop.time() < begun + 2.4:
            assert await leases.take("reports") is None
            await asyncio.sleep(0.05)
    assert await leases.take("reports") == 2


async def test_work_ends_when_its_lease_is_lost(empty: Database, leases: Leases) -> None:
    fence = await leases.take("reports")
    assert fence is not None

    async def work() -> None:
        async with leases.held("reports", fence):
            await _run_out(empty)
            assert await leases.take("reports") == 2
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    ended, _ = await asyncio.wait({working}, timeout=30)
    assert ended, "the work goes on without its lease"
    with pytest.raises(LeaseLost):
        await working
    assert not await leases.renew("reports", fence)
