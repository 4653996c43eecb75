"""The desk, wired on a database of its own, with a clock that the test sets."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.migrations import migrate
from services.chassis.outbox import Outbox
from services.chassis.pagination import PageTokens
from services.operations.backends.postgres_transactions import PostgresTransactions
from services.operations.backends.tables import OUTBOX
from services.operations.operations.fire_schedules import FireSchedules
from services.operations.operations.keep_dead_letters import KeepDeadLetters
from services.operations.operations.keep_operations import KeepOperations
from services.operations.operations.keep_schedules import KeepSchedules
from services.operations.operations.replay_dead_letters import ReplayDeadLetters
from services.operations.operations.run_operations import RunOperations
from services.operations.rules import FailedMessage, targets_of


@dataclass
class Desk:
    """Everything wired, for one test. `now` is what its clock says."""

    database: Database
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.database, OUTBOX)
        self.transactions = PostgresTransactions(self.database, self.outbox)
        tokens = PageTokens("a secret of the tests, long enough")
        self.letters = KeepDeadLetters(self.transactions, tokens, self.clock)
        self.replays = ReplayDeadLetters(self.transactions, self.clock)
        self.operations = KeepOperations(self.transactions, tokens, self.clock)
        self.running = RunOperations(self.transactions, self.replays, self.clock)
        self.schedules = KeepSchedules(self.transactions, tokens, self.clock, targets_of("incoming,brittle"))
        self.firing = FireSchedules(self.transactions, self.clock, timedelta(days=90))

    def clock(self) -> datetime:
        """Return the test's time."""
        return self.now

    async def sent(self) -> list[str]:
        """Return the messages that wait in the outbox, in their order."""
        async with self.database.autocommit() as connection:
            return [row.payload["message"] for row in await connection.execute(OUTBOX.select().order_by(OUTBOX.c.id))]


def failed(number: int, *, queue: str = "incoming", key: str = "first", **changes: object) -> FailedMessage:
    """Return a message as a broker gave it up."""
    at = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(minutes=number)
    values: dict[str, object] = {
        "queue": queue,
        "message_id": f"message-{number}",
        "failure_key": key,
        "actor": queue,
        "payload": f'{{"number": {number}}}',
        "arguments": (),
        "options": {"retries": 9, "traceback": "Traceback …"},
        "error": f"ValueError: number {number} is bad",
        "traceback": "Traceback …",
        "trace_id": "",
        "organization_id": f"org-{number % 2}",
        "attempts": 9,
        "sent_at": at,
        "failed_at": at,
    }
    return FailedMessage(**values | changes)  # type: ignore[arg-type]


@pytest.fixture
async def desk_url(postgres_url: str) -> AsyncIterator[str]:
    """The URL of a new database with the schema of the desk, dropped afterwards."""
    name = f"desk_{uuid4().hex}"
    server = Database(postgres_url)
    async with server.engine.connect() as connection:
        autonomous = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autonomous.execute(text(f"CREATE DATABASE {name}"))
        url = postgres_url.replace("/postgres?", f"/{name}?")
        database = Database(url)
        await migrate(database.engine, ["operations"])
        await database.close()
        yield url
        await autonomous.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await server.close()


@pytest.fixture
async def desk(desk_url: str) -> AsyncIterator[Desk]:
    """A desk on which nothing lies."""
    database = Database(desk_url)
    yield Desk(database)
    await database.close()
