"""The house on real stores."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from tests.support.house import House


@pytest.fixture
async def house(database: Database, valkey: Redis, tmp_path: Path) -> AsyncIterator[House]:
    """The operations, wired; each test has its own."""
    house = House(database, valkey, tmp_path)
    yield house
    await house.wake_ups.close()


@pytest.fixture
def owner() -> str:
    """A user of this test alone."""
    return str(new_id())
