"""An empty database in the tests' PostgreSQL."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.chassis.database import Database


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncIterator[str]:
    """The URL of a new database, dropped afterwards."""
    name = f"chassis_{uuid4().hex}"
    server = Database(postgres_url)
    async with server.engine.connect() as connection:
        autonomous = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autonomous.execute(text(f"CREATE DATABASE {name}"))
        yield postgres_url.replace("/postgres?", f"/{name}?")
        await autonomous.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await server.close()


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Database]:
    """A new database without tables."""
    database = Database(empty_url)
    yield database
    await database.close()
