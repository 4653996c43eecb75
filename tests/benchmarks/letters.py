"""How fast many dead letters go back to RabbitMQ: `python -m tests.benchmarks.letters`. Prints, asserts nothing."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from sqlalchemy import func, select

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.chassis.jobs import publisher_to
from services.chassis.migrations import migrate
from services.chassis.outbox import Outbox
from services.operations.backends.outbox_jobs import job_message
from services.operations.backends.postgres_transactions import PostgresTransactions
from services.operations.backends.tables import OUTBOX
from services.operations.operations.replay_dead_letters import ReplayDeadLetters
from services.operations.operations.run_operations import RunOperations
from services.operations.rules import DeadLetter, FailedMessage, LetterFilter, LetterState
from tests.support.brokers import running_rabbitmq
from tests.support.stores import running_postgres

_LETTERS = 3000
_RATE = 1000


def _letter() -> DeadLetter:
    now = datetime.now(UTC)
    message = FailedMessage(
        queue="replayed",
        message_id=str(uuid4()),
        failure_key=str(uuid4()),
        actor="replayed",
        payload='{"conversation_id": "0198b6d4-0000-7000-8000-000000000000"}',
        arguments=(),
        options={},
        error="ValueError: it was bad",
        traceback="",
        trace_id="",
        organization_id="",
        attempts=9,
        sent_at=now,
        failed_at=now,
    )
    return DeadLetter(new_id(), message, LetterState.OPEN, 1, now, 1)


async def replay(broker_url: str, database_url: str) -> float:
    """Replay many letters as one operation and return how many a second the broker had."""
    database = Database(database_url)
    await migrate(database.engine, ["operations"])
    outbox = Outbox(database, OUTBOX)
    transactions = PostgresTransactions(database, outbox)
    async with transactions.begin() as tx:
        for _ in range(_LETTERS):
            await tx.letters.add(_letter())

    def clock() -> datetime:
        return datetime.now(UTC)

    replays = ReplayDeadLetters(transactions, clock)
    await replays.chosen(LetterFilter(), _RATE, "", None, dry_run=False)
    publisher = publisher_to(broker_url, job_message)
    relay = asyncio.create_task(outbox.relay(publisher.publish))
    started = time.perf_counter()
    async with transactions.begin() as tx:
        lease = await tx.operations.lease(timedelta(seconds=60))
    assert lease is not None
    await RunOperations(transactions, replays, clock).run(lease)
    stored = time.perf_counter() - started
    while True:
        async with database.autocommit() as connection:
            if not await connection.scalar(select(func.count()).select_from(OUTBOX)):
                break
        await asyncio.sleep(0.02)
    took = time.perf_counter() - started
    print(f"{_LETTERS} letters: all in the outbox after {stored:.1f} s, at the broker after {took:.1f} s", flush=True)
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    await publisher.close()
    await database.close()
    return _LETTERS / took


async def main() -> None:
    """Measure once and print it."""
    with (
        TemporaryDirectory() as folder,
        running_rabbitmq(Path(folder)) as broker,
        running_postgres() as database_url,
    ):
        print(f"replayed dead letters a second: {await replay(broker.url, database_url):.0f}")


if __name__ == "__main__":
    asyncio.run(main())
