"""Three schedulers, one of which is always being killed: every time is fired for, and once.

PARLEY_FAULTS=long takes 10,000 fires instead of 2,000.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select, text

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.chassis.migrations import migrate
from services.chassis.outbox import Outbox
from services.operations.backends.postgres_transactions import PostgresTransactions
from services.operations.backends.tables import FIRE, OUTBOX, SCHEDULE
from services.operations.rules import MissedRuns, Schedule
from tests.faults.scheduler import START
from tests.support.callers import eventually

_ROOT = Path(__file__).parents[2]
_SCHEDULES = 100
_MINUTES = 100 if os.environ.get("PARLEY_FAULTS") == "long" else 20
_SPEED = 30.0  # a fire of each schedule every two seconds
_SCHEDULERS = 3
_SEED = 6


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    """A database with the schema of the desk, dropped afterwards."""
    name = f"desk_{uuid4().hex}"
    server = Database(postgres_url)
    async with server.engine.connect() as connection:
        autonomous = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autonomous.execute(text(f"CREATE DATABASE {name}"))
        yield postgres_url.replace("/postgres?", f"/{name}?")
        await autonomous.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await server.close()


@pytest.mark.timeout(_MINUTES * 12 + 60)
async def test_killing_schedulers_misses_and_doubles_no_fire(url: str, valkey_url: str, valkey: Redis) -> None:
    database = Database(url)
    await migrate(database.engine, ["operations"])
    queue = f"ticks-{uuid4().hex}"
    ids = await _make(database, queue)
    command = [sys.executable, "-m", "tests.faults.scheduler", url, valkey_url, str(time.time()), str(_SPEED)]
    schedulers = [_start(command) for _ in range(_SCHEDULERS)]
    kills, chance = 0, random.Random(_SEED)  # noqa: S311 - which one dies when
    try:
        deadline = time.monotonic() + _MINUTES * 12
        while await _waits(database):
            assert time.monotonic() < deadline, "the schedulers did not get through"
            await _goes_on(database)
            await asyncio.sleep(chance.uniform(0.0, 1.0))  # the moment of a kill is drawn by chance
            number = chance.randrange(_SCHEDULERS)
            _end(schedulers[number], signal.SIGKILL)
            schedulers[number] = _start(command)
            kills += 1
    finally:
        for process in schedulers:
            _end(process, signal.SIGKILL)
    wanted = {(schedule_id, START + timedelta(minutes=minute)) for schedule_id in ids for minute in _minutes()}
    fired = await _fired(database)
    published = Counter(await _published(valkey, queue))
    fire_ids = {str(fire_id) for fire_id, _, _ in fired}
    due = Counter((schedule_id, at) for _, schedule_id, at in fired)
    doubled = sum(count - 1 for count in due.values())
    extra = sum(published.values()) - len(published)
    print(
        f"fires {len(fired)}, kills {kills}: missed {len(wanted - set(due))}, doubled {doubled}, "
        f"jobs lost {len(fire_ids - set(published))}, extra deliveries with the same message id {extra}"
    )
    assert kills >= 5, "hardly anything was killed: the test has shown nothing"
    assert set(due) == wanted
    assert doubled == 0
    assert set(published) == fire_ids
    await database.close()


def _minutes() -> range:
    return range(1, _MINUTES + 1)


async def _make(database: Database, queue: str) -> set[UUID]:
    made = set()
    async with PostgresTransactions(database, Outbox(database, OUTBOX)).begin() as tx:
        for number in range(_SCHEDULES):
            schedule = Schedule(
                schedule_id=new_id(),
                name=str(number),
                queue=queue,
                actor=queue,
                payload="{}",
                created_by="",
                created_at=START,
                updated_at=START,
                cron="* * * * *",
                missed_runs=MissedRuns.FIRE_ALL,
                catch_up_limit=1000,
                next_at=START + timedelta(minutes=1),
            )
            await tx.schedules.add(schedule, None)
            made.add(schedule.schedule_id)
    return made


async def _waits(database: Database) -> bool:
    """Whether a schedule has a time before the end, or a job is not published."""
    end = START + timedelta(minutes=_MINUTES)
    async with database.autocommit() as connection:
        due = await connection.scalar(select(func.count()).where(SCHEDULE.c.next_at <= end))
        unpublished = await connection.scalar(select(func.count()).select_from(OUTBOX))
    return bool(due or unpublished)


async def _goes_on(database: Database) -> None:
    """Return once more was fired: who is killed before it does anything shows nothing."""
    before = await _fires(database)

    async def moved() -> bool:
        return await _fires(database) > before or not await _waits(database)

    await eventually(moved, seconds=60, what="another fire")


async def _fires(database: Database) -> int:
    async with database.autocommit() as connection:
        return int(await connection.scalar(select(func.count()).select_from(FIRE)) or 0)


async def _fired(database: Database) -> list[tuple[UUID, UUID, datetime]]:
    async with database.autocommit() as connection:
        rows = await connection.execute(select(FIRE.c.id, FIRE.c.schedule_id, FIRE.c.due_at))
        return [(row.id, row.schedule_id, row.due_at) for row in rows]


async def _published(valkey: Redis, queue: str) -> list[str]:
    bodies = await valkey.hvals(f"dramatiq:{queue}.msgs")
    return [json.loads(body)["message_id"] for body in bodies]


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*command, str(_MINUTES)], cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    process.send_signal(number)
    process.wait(20)
