"""Fixtures that more than one kind of test uses. A test starts what it needs."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.migrations import migrate
from services.chassis.resources import open_valkey
from services.registry import CAPABILITIES
from tests.support.stores import running_postgres, running_valkey

# How long an example takes is the machine's affair.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

_TESTS = Path(__file__).parent
# Their tests share servers that are dear to start: a whole house, Keycloak, brokers.
_SHARING = ("acceptance", "mesh", "stack")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests stay together when two processes share the work (`-n 2 --dist loadgroup`)."""
    for item in items:
        place = item.path.relative_to(_TESTS)
        group = place.parent if place.parts[0] in _SHARING else place
        item.add_marker(pytest.mark.xdist_group(str(group)))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The SQLAlchemy URL of a PostgreSQL that lives as long as the tests."""
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a Valkey that lives as long as the tests."""
    with running_valkey() as url:
        yield url


@pytest.fixture(scope="session")
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """A database with every schema at its newest revision."""
    database = Database(postgres_url)
    await migrate(database.engine, list(CAPABILITIES))
    yield database
    await database.close()


@pytest.fixture(scope="session")
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    """A client of the tests' Valkey."""
    client = open_valkey(valkey_url)
    yield client
    await client.aclose()
