"""A worker process with actors that write down what they did; `python -m tests.acceptance.chassis.worker URL`."""

import asyncio
import sys

import dramatiq
from redis.asyncio import Redis

from services.chassis.jobs import make_broker, run_worker

DONE = "trial:done"


async def main(url: str) -> None:
    """Work until told to stop."""
    valkey = Redis.from_url(url)
    broker = make_broker(url)

    async def steady(n: int) -> None:
        await valkey.rpush(DONE, f"steady {n}")

    async def flaky(n: int) -> None:
        tries = await valkey.incr(f"trial:tries:{n}")
        if tries == 1:
            raise RuntimeError("the first try fails")
        await valkey.rpush(DONE, f"flaky {n} after {tries}")

    async def long(n: int) -> None:
        tries = await valkey.incr(f"trial:tries:long:{n}")
        await valkey.rpush(DONE, f"long {n} begun")
        if tries == 1:
            await asyncio.Event().wait()
        await valkey.rpush(DONE, f"long {n} ended")

    for actor in (steady, flaky, long):
        dramatiq.actor(actor_name=actor.__name__, queue_name=actor.__name__, broker=broker)(actor)
    await run_worker(broker, 4)
    await valkey.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
