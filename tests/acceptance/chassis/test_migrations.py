"""Schemas are brought to their newest revision once, by whoever comes first."""

import asyncio

import pytest
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.migrations import SchemaNotCurrent, check_current, migrate
from services.registry import CAPABILITIES

_ALL = list(CAPABILITIES)


async def _tables(database: Database) -> list[tuple[str, str]]:
    query = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(:names) ORDER BY 1, 2"
    async with database.transaction() as connection:
        return [(row[0], row[1]) for row in await connection.execute(text(query), {"names": _ALL})]


async def test_migrating_again_changes_nothing(empty: Database) -> None:
    await migrate(empty.engine, _ALL)
    tables = await _tables(empty)
    assert {"identity", "conversations"} <= {schema for schema, _ in tables}
    await migrate(empty.engine, _ALL)
    assert await _tables(empty) == tables
    await check_current(empty.engine, _ALL)


async def test_many_processes_may_migrate_at_once(empty: Database, empty_url: str) -> None:
    processes = [Database(empty_url) for _ in range(4)]
    await asyncio.gather(*(migrate(database.engine, _ALL) for database in processes))
    await check_current(empty.engine, _ALL)
    for database in processes:
        await database.close()


async def test_an_empty_database_is_refused(empty: Database) -> None:
    with pytest.raises(SchemaNotCurrent, match=r"identity is at revision none, .* `parley migrate`"):
        await check_current(empty.engine, ["identity"])
    await check_current(empty.engine, ["inference"])  # it keeps nothing in the database


@pytest.mark.parametrize("revision", ["0000", "9999"])
async def test_an_older_and_a_newer_schema_are_refused(empty: Database, revision: str) -> None:
    await migrate(empty.engine, _ALL)
    async with empty.transaction() as connection:
        await connection.execute(text("UPDATE identity.alembic_version SET version_num = :r"), {"r": revision})
    with pytest.raises(SchemaNotCurrent, match=f"identity is at revision {revision}, this code needs 0"):
        await check_current(empty.engine, _ALL)
    await check_current(empty.engine, ["conversations"])


@pytest.mark.parametrize("capability", _ALL)
async def test_a_capability_makes_its_own_schema_and_no_other(empty: Database, capability: str) -> None:
    await migrate(empty.engine, [capability])
    assert {schema for schema, _ in await _tables(empty)} <= {capability}
