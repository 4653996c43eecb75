"""Does to a house what happens to houses."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import psutil
from redis.asyncio import Redis

from services.chassis.jobs import publisher_to
from services.chassis.outbox import Event
from tests.faults.checker import Verdict
from tests.faults.storm import STALE, Plan, Storm
from tests.faults.workers import Worker

_PERIODIC = ("kill_worker", "kill_broker", "pause_worker", "pause_services", "kill_postgres", "flush_valkey")
_LOOK_SECONDS = 0.5
# Whoever wakes up is left alone for so long: it is to find out that another one has its work.
_AWAKE_SECONDS = 5.0
# How long others may take beyond the pause: they are killed themselves.
_TAKE_OVER_SECONDS = 30.0


class Nemesis:
    """The faults. Each returns whether it bit, which the history says. `seed` makes the choices the same again.

    A fault that fails ends the storm: what it promises would not happen.
    """

    def __init__(self, storm: Storm, seed: int) -> None:
        self._storm = storm
        self._random = random.Random(seed)  # noqa: S311 - a choice of victims, no secret
        self._asleep: set[int] = set()
        self._bites: Counter[str] = Counter()

    @property
    def owes(self) -> list[str]:
        """The faults of the plan that have not bitten yet."""
        wanted = [name for name in _PERIODIC if getattr(self._storm.plan, name)]
        return [name for name in [*wanted, "deliver_twice"] if not self._bites[name]]

    async def kill_worker(self) -> bool:
        """Kill a worker in the middle of an answer; its supervisor starts another one.

        One that sleeps is left alone, as one that has just woken up is.
        """
        worker = await self._answering()
        worker.kill()
        return bool(worker.answering)

    async def _answering(self) -> Worker:
        """Wait for a worker that is in the middle of an answer, and return the one that has lived longest."""
        while True:
            for worker in self._storm.workers:
                if worker.lives and worker.pid not in self._asleep and worker.answering:
                    return worker
            await asyncio.sleep(_LOOK_SECONDS / 5)

    async def kill_broker(self) -> bool:
        """Kill the broker and start it again."""
        self._storm.broker.kill()
        await asyncio.to_thread(self._storm.broker.start)
        return True

    async def pause_worker(self) -> bool:
        """Let a worker sleep in the middle of an answer until another one has taken it over, and go on then.

        It bites when the worker finds that out.
        """
        while True:
            worker = await self._answering()
            process = psutil.Process(worker.pid)
            process.suspend()
            known = {run_id for _, run_id in self._storm.runs}
            if held := [run_id for run_id in worker.answering if run_id in known]:
                break
            process.resume()
        self._asleep.add(worker.pid)
        try:
            before = await self._storm.attempts(held)
            await asyncio.sleep(self._storm.plan.pause_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(_TAKE_OVER_SECONDS):
                    while await self._storm.attempts(held) == before:
                        await asyncio.sleep(_LOOK_SECONDS)
        finally:
            process.resume()
        await asyncio.sleep(_AWAKE_SECONDS)
        self._asleep.discard(worker.pid)
        return worker.has_told(STALE)

    async def pause_services(self) -> bool:
        """Let the relay sleep in the middle of its work, with every RPC."""
        process = psutil.Process(self._storm.mesh.pid("services"))
        process.suspend()
        try:
            await asyncio.sleep(self._storm.plan.pause_seconds)
        finally:
            if process.is_running():
                process.resume()
        return process.is_running()

    async def kill_postgres(self) -> bool:
        """Kill the database; the launcher starts it again."""
        os.kill(self._storm.mesh.pid("postgres"), signal.SIGKILL)
        return True

    async def flush_valkey(self) -> bool:
        """Empty Valkey: run events and cancellations are gone."""
        async with Redis.from_url(self._storm.env["PARLEY_VALKEY_URL"]) as valkey:
            found = [key async for key in valkey.scan_iter("run:*", count=1000)]
            await valkey.flushall()
        return bool(found)

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
                    self._bites["deliver_twice"] += len(events)
                    if events:
                        self._storm.history.write("doubled", count=len(events))
                except Exception:
                    self._storm.history.write("not doubled", count=len(events))
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await publisher.close()

    async def _again_and_again(self, fault: Callable[[], Awaitable[bool]], every: float) -> None:
        begun, count = time.monotonic(), 0
        try:
            while True:
                # A fault that takes its time does not make the next one late; some time is left to get work done.
                count = max(count + 1, int((time.monotonic() - begun) / every))
                await asyncio.sleep(max(every / 2, begun + count * every - time.monotonic()))
                bit = await fault()
                self._bites[fault.__name__] += bit
                kind = "fault" if bit else "fault that missed"
                self._storm.history.write(kind, fault=fault.__name__.replace("_", " "))
        finally:
            self._storm.enough.set()


def missed(plan: Plan, verdict: Verdict) -> list[str]:
    """Return what a plan promises and a history does not show: without it a verdict proves less than it says."""
    kinds = [name.replace("_", " ") for name in _PERIODIC if getattr(plan, name)]
    shown = {kind: verdict.faults.get(kind, 0) for kind in kinds}
    if plan.doubled:
        shown["doubled nudges"] = verdict.doubled_nudges
    if plan.pause_worker:
        shown["stale fences refused"] = verdict.stale_fences_refused
    if plan.kill_worker:
        shown["runs taken up again"] = verdict.taken_up_again
    return [name for name, count in shown.items() if count == 0]


@asynccontextmanager
async def raging(storm: Storm, seed: int) -> AsyncIterator[Nemesis]:
    """Let every fault of the plan happen for as long as the block runs."""
    nemesis, plan = Nemesis(storm, seed), storm.plan
    faults = [(getattr(nemesis, name), getattr(plan, name)) for name in _PERIODIC]
    tasks = [asyncio.create_task(nemesis._again_and_again(fault, every)) for fault, every in faults if every]
    tasks.append(asyncio.create_task(nemesis.deliver_twice()))
    try:
        yield nemesis
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        await asyncio.to_thread(storm.broker.start)
