"""Fixtures that more than one kind of test uses. A test starts what it needs."""

from collections.abc import AsyncIterator, Iterator
from pathlib import PurePath

import pytest
from hypothesis import settings
from redis.asyncio import Redis
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from services.chassis.database import Database
from services.chassis.migrations import migrate
from services.chassis.resources import open_valkey
from services.registry import CAPABILITIES
from tests.support.stores import running_postgres, running_valkey

# How long an example takes is the machine's affair.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


class TogetherScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Shares tests among processes (`-n 3`) a folder or a file at a time."""

    def _split_scope(self, nodeid: str) -> str:
        """Return what stays together: tests of a folder share servers that are dear to start, such as Keycloak."""
        file = PurePath(nodeid.partition("::")[0])
        return str(file.parent if file.parts[1] in ("acceptance", "mesh", "stack") else file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TogetherScheduling:
    """Choose how tests are shared. (xdist's own marks for this, xdist_group, have no effect with pytest 9.2.)"""
    return TogetherScheduling(config, log)


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
