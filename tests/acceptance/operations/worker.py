"""A worker whose actor fails when it is told to; `python -m tests.acceptance.operations.worker BROKER NOTES`."""

import asyncio
import json
import sys

import dramatiq
from redis.asyncio import Redis

from services.chassis.jobs import make_broker, run_worker

DONE = "trial:done"


async def main(url: str, notes_url: str) -> None:
    """Work until told to stop."""
    notes = Redis.from_url(notes_url, socket_timeout=None)

    async def brittle(number: int, fails: bool = False) -> None:
        if fails:
            raise ValueError(f"number {number} is bad")
        await notes.rpush(DONE, json.dumps(number))

    broker = make_broker(url)
    dramatiq.actor(actor_name="brittle", queue_name="brittle", broker=broker, max_retries=1, min_backoff=50)(brittle)
    await run_worker(broker, 4)
    await notes.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
