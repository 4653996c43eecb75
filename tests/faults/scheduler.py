"""A scheduler whose clock runs fast; `python -m tests.faults.scheduler DATABASE BROKER BEGAN SPEED MINUTES`.

Its clock stands at 2026-03-01 at the real time BEGAN, runs SPEED times as fast, and stops after MINUTES.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

from services.chassis.database import Database
from services.chassis.jobs import publisher_to
from services.chassis.outbox import Outbox
from services.chassis.supervision import keep_running
from services.operations.backends.outbox_jobs import job_message
from services.operations.backends.postgres_transactions import PostgresTransactions
from services.operations.backends.tables import OUTBOX
from services.operations.operations.fire_schedules import FireSchedules

START = datetime(2026, 3, 1, tzinfo=UTC)


async def main(database_url: str, broker_url: str, began: float, speed: float, minutes: int) -> None:
    """Fire and publish until killed."""

    def clock() -> datetime:
        return START + min(timedelta(seconds=(time.time() - began) * speed), timedelta(minutes=minutes))

    database = Database(database_url, pool_size=4)
    outbox = Outbox(database, OUTBOX)
    publisher = publisher_to(broker_url, job_message)
    firing = FireSchedules(PostgresTransactions(database, outbox), clock, timedelta(days=90))

    async def relay() -> None:
        await outbox.relay(publisher.publish)

    await asyncio.gather(keep_running("relay", relay), keep_running("firing", firing.keep_firing))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
