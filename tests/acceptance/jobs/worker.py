"""A worker process whose actors write down what they did; `python -m tests.acceptance.jobs.worker BROKER NOTES [keep]`.

With `keep` a worker that dies is started again at once, as by a launcher, until this process gets SIGTERM.
"""

import asyncio
import ctypes
import os
import signal
import sys

import dramatiq
import structlog
from redis.asyncio import Redis

from services.chassis.jobs import make_broker, run_worker

DONE = "trial:done"
_PR_SET_PDEATHSIG = 1


async def main(url: str, notes_url: str) -> None:
    """Work until told to stop."""
    notes = Redis.from_url(notes_url, socket_timeout=None)
    broker = make_broker(url, notes_url)

    async def deadly(n: int) -> None:
        """Take the process with it, as a fault in a library's machine code does."""
        await notes.rpush(DONE, f"deadly {n}")
        os.kill(os.getpid(), signal.SIGKILL)

    dramatiq.actor(actor_name="deadly", queue_name="deadly", broker=broker)(deadly)
    _declare(broker, notes)
    await run_worker(broker, 4)
    await notes.aclose()


def _declare(broker: dramatiq.Broker, notes: Redis) -> None:
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

    for actor in (steady, slow, flaky, long, held, traced):
        dramatiq.actor(actor_name=actor.__name__, queue_name=actor.__name__, broker=broker)(actor)
    dramatiq.actor(actor_name="poison", queue_name="poison", broker=broker, max_retries=2, min_backoff=50)(poison)


def keep(url: str, notes_url: str) -> None:
    """Have one worker after the other, each a process of its own."""
    is_over = False

    def end(*_: object) -> None:
        nonlocal is_over
        is_over = True
        os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    while not is_over:
        # Forked, not started anew: what is imported is imported once. Nothing runs in this process but this loop.
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            asyncio.run(main(url, notes_url))
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    if sys.argv[3:] == ["keep"]:
        keep(*sys.argv[1:3])
    else:
        asyncio.run(main(sys.argv[1], sys.argv[2]))
