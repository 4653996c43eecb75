"""The backends that share a suite, and what the tests put into them."""

import pytest

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.identity.backends.postgres_transactions import PostgresTransactions
from services.identity.ports import Transactions
from services.identity.rules import User, new_user
from tests.services.identity.fakes import START, MemoryTransactions


@pytest.fixture(params=["memory", "postgres"])
def transactions(request: pytest.FixtureRequest, database: Database) -> Transactions:
    """Transactions of each backend."""
    return MemoryTransactions() if request.param == "memory" else PostgresTransactions(database)


@pytest.fixture
def user() -> User:
    """A user whose names nobody else has."""
    return fresh_user()


def fresh_user() -> User:
    """Return a user whose names nobody else has."""
    user_id = new_id()
    name = f"Ann-{user_id.hex}"
    return new_user(user_id, f"{name}@Example.com", name, "Ann", START, frozenset())
