"""Does to a house what happens to houses."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import psutil
from redis.asyncio import Redis

from services.chassis.jobs import publisher_to
from services.chassis.outbox import Event
from tests.faults.storm import Storm
from tests.faults.workers import Worker

_LOOK_SECONDS = 0.5
# Whoever wakes up is left alone for so long: it is to find out that another one has its work.
_AWAKE_SECONDS = 5.0


class Nemesis:
    """The faults, each noted in the history. `seed` makes their choices the same again."""

    def __init__(self, storm: Storm, seed: int) -> None:
        self._storm = storm
        self._random = random.Random(seed)  # noqa: S311 - a choice of victims, no secret
        self._asleep: set[int] = set()

    async def kill_worker(self) -> None:
        """Kill the worker that has lived longest; its supervisor starts another one.

        One that sleeps is left alone, as one that has just woken up is.
        """
        (await self._awake(lambda worker: worker.lives)).kill()

    async def _awake(self, wanted: Callable[[Worker], bool]) -> Worker:
        while True:
            for worker in self._storm.workers:
                if wanted(worker) and worker.pid not in self._asleep:
                    return worker
            await asyncio.sleep(_LOOK_SECONDS / 5)

    async def kill_broker(self) -> None:
        """Kill the broker and start it again."""
        self._storm.broker.kill()
        await asyncio.to_thread(self._storm.broker.start)

    async def pause_worker(self) -> None:
        """Let a worker sleep in the middle of its work, through its leases, and go on as if nothing had been."""
        await self._pause([psutil.Process((await self._awake(lambda worker: worker.works)).pid)])

    async def pause_services(self) -> None:
        """Let the relay sleep in the middle of its work, with every RPC."""
        await self._pause([psutil.Process(self._storm.mesh.pid("services"))])

    async def kill_postgres(self) -> None:
        """Kill the database; the launcher starts it again."""
        os.kill(self._storm.mesh.pid("postgres"), signal.SIGKILL)

    async def flush_valkey(self) -> None:
        """Empty Valkey: run events and cancellations are gone."""
        async with Redis.from_url(self._storm.env["PARLEY_VALKEY_URL"]) as valkey:
            await valkey.flushall()

    async def _pause(self, processes: list[psutil.Process]) -> None:
        pids = {process.pid for process in processes}
        self._asleep |= pids
        for process in processes:
            process.suspend()
        try:
            await asyncio.sleep(self._storm.plan.pause_seconds)
        finally:
            for process in processes:
                if process.is_running():
                    process.resume()
            await asyncio.sleep(_AWAKE_SECONDS)
            self._asleep -= pids

    async def deliver_twice(self) -> None:
        """Deliver a share of the nudges once more, late and in any order."""
        publisher = publisher_to(self._storm.broker.url)
        seen = 0
        try:
            while True:
                fresh = self._storm.runs[seen:]
                seen += len(fresh)
                events = [
                    Event(uuid4(), "incoming", conversation, {"conversation_id": conversation})
                    for conversation, _ in fresh
                    if self._random.random() < self._storm.plan.doubled
                ]
                self._random.shuffle(events)
                try:
                    await publisher.publish(events)
                    if events:
                        self._storm.history.write("doubled", count=len(events))
                except Exception:
                    self._storm.history.write("not doubled", count=len(events))
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await publisher.close()

    async def _again_and_again(self, fault: Callable[[], Awaitable[None]], every: float) -> None:
        begun, count = time.monotonic(), 0
        while True:
            # A fault that takes its time does not make the next one late.
            count = max(count + 1, int((time.monotonic() - begun) / every))
            await asyncio.sleep(max(0.0, begun + count * every - time.monotonic()))
            await fault()
            self._storm.history.write("fault", fault=fault.__name__.replace("_", " "))


@asynccontextmanager
async def raging(storm: Storm, seed: int) -> AsyncIterator[None]:
    """Let every fault of the plan happen for as long as the block runs."""
    nemesis, plan = Nemesis(storm, seed), storm.plan
    faults = (
        (nemesis.kill_worker, plan.kill_worker),
        (nemesis.kill_broker, plan.kill_broker),
        (nemesis.pause_worker, plan.pause_worker),
        (nemesis.pause_services, plan.pause_services),
        (nemesis.kill_postgres, plan.kill_postgres),
        (nemesis.flush_valkey, plan.flush_valkey),
    )
    tasks = [asyncio.create_task(nemesis._again_and_again(fault, every)) for fault, every in faults if every]
    tasks.append(asyncio.create_task(nemesis.deliver_twice()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        await asyncio.to_thread(storm.broker.start)
