"""The house on real stores."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from tests.acceptance.conversations.bot_with_tools import BotWithTools
from tests.acceptance.tools.conftest import House as Workshop
from tests.acceptance.tools.servers import Seen, serving, web
from tests.support.house import House
from tests.support.served import served


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


@pytest.fixture
async def bot(
    house: House, owner: str, database: Database, valkey: Redis, postgres_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[BotWithTools]:
    """The house, the service of tools, and an HTTP server that tools are requests to."""
    seen = Seen()
    async with serving(web(seen)) as port, served("tools", tmp_path / "tools", postgres_url, valkey_url) as channel:
        workshop = Workshop(database, valkey, port, seen)
        yield BotWithTools(house, workshop, owner, channel)
        seen.go_on.set()
        await workshop.wake_ups.close()
