"""A worker process whose actors write down what they did; `python -m tests.acceptance.jobs.worker BROKER NOTES`."""

import asyncio
import sys

import dramatiq
import structlog
from redis.asyncio import Redis

from services.chassis.jobs import make_broker, run_worker

DONE = "trial:done"


async def main(url: str, notes_url: str) -> None:
    """Work until told to stop."""
    notes = Redis.from_url(notes_url, socket_timeout=None)

    async def steady(n: int) -> None:
        await notes.rpush(DONE, f"steady {n}")

    async def slow(n: int) -> None:
        await asyncio.sleep(0.02)
        await notes.rpush(DONE, f"slow {n}")

    async def flaky(n: int) -> None:
        tries = await notes.incr(f"trial:tries:{n}")
        if tries == 1:
            raise RuntimeError("the first try fails")
        await notes.rpush(DONE, f"flaky {n} after {tries}")

    async def long(n: int) -> None:
        tries = await notes.incr(f"trial:tries:long:{n}")
        await notes.rpush(DONE, f"long {n} begun")
        if tries == 1:
            await asyncio.Event().wait()
        await notes.rpush(DONE, f"long {n} ended")

    async def held(n: int) -> None:
        """Fail at the first try, once the test says so."""
        tries = await notes.incr(f"trial:tries:held:{n}")
        await notes.rpush(DONE, f"held {n} begun {tries}")
        if tries == 1:
            await notes.blpop(["trial:let-go"])
            raise RuntimeError("the broker is away by now")

    async def poison(n: int) -> None:
        await notes.rpush(DONE, f"poison {n}")
        raise RuntimeError("it fails each time")

    async def traced(n: int) -> None:
        await notes.rpush(DONE, f"traced {n} {structlog.contextvars.get_contextvars()['trace_id']}")

    broker = make_broker(url)
    for actor in (steady, slow, flaky, long, held, traced):
        dramatiq.actor(actor_name=actor.__name__, queue_name=actor.__name__, broker=broker)(actor)
    dramatiq.actor(actor_name="poison", queue_name="poison", broker=broker, max_retries=2, min_backoff=50)(poison)
    await run_worker(broker, 4)
    await notes.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
