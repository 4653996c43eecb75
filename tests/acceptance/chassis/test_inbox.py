"""An event that comes twice has one effect."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, text

from services.chassis.database import Database
from services.chassis.inbox import KEPT_DAYS, Inbox, inbox_table

_METADATA = MetaData()
_INBOX = inbox_table(_METADATA, "trial")
_EFFECT = Table("effect", _METADATA, Column("n", Integer), schema="trial")


@pytest.fixture
async def inbox(empty: Database) -> Inbox:
    async with empty.transaction() as connection:
        await connection.execute(text("CREATE SCHEMA trial"))
        await connection.run_sync(_METADATA.create_all)
    return Inbox(empty, _INBOX)


async def _count(database: Database, table: Table) -> int:
    async with database.transaction() as connection:
        return int(await connection.scalar(select(func.count()).select_from(table)) or 0)


async def test_many_deliveries_of_an_event_have_one_effect(empty: Database, inbox: Inbox) -> None:
    event_id = uuid4()

    async def deliver() -> bool:
        async with empty.transaction() as connection:
            first = await inbox.is_first(connection, "ledger", event_id)
            if first:
                await connection.execute(insert(_EFFECT), {"n": 1})
            return first

    assert sorted(await asyncio.gather(*[deliver() for _ in range(12)])) == [False] * 11 + [True]
    assert await _count(empty, _EFFECT) == 1


async def test_an_effect_that_fails_is_tried_again(empty: Database, inbox: Inbox) -> None:
    event_id = uuid4()

    async def fail() -> None:
        async with empty.transaction() as connection:
            assert await inbox.is_first(connection, "ledger", event_id)
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        await fail()
    async with empty.transaction() as connection:
        assert await inbox.is_first(connection, "ledger", event_id)


async def test_each_consumer_deals_with_an_event_itself(empty: Database, inbox: Inbox) -> None:
    event_id = uuid4()
    async with empty.transaction() as connection:
        assert await inbox.is_first(connection, "ledger", event_id)
        assert await inbox.is_first(connection, "mail", event_id)
        assert not await inbox.is_first(connection, "mail", event_id)


async def test_what_is_old_is_forgotten_chunk_by_chunk(empty: Database, inbox: Inbox) -> None:
    async with empty.transaction() as connection:
        await connection.execute(
            text(
                "INSERT INTO trial.inbox SELECT 'ledger', gen_random_uuid(), now() - make_interval(days => :days) "
                "FROM generate_series(1, 2500)"
            ),
            {"days": KEPT_DAYS + 1},
        )
        await inbox.is_first(connection, "ledger", uuid4())
    assert await inbox.prune() == 2500
    assert await _count(empty, _INBOX) == 1
