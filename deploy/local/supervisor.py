"""Starts the parts in order, keeps each of them up, and stops them in reverse."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.local.child import Child, start_child
from deploy.local.errors import LaunchError
from deploy.local.folders import Folders, rotate_log
from deploy.local.part import Part, Stage, wait_until
from deploy.local.probes import Probe
from deploy.local.screen import Screen
from deploy.local.state import PartState, State


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how fast a part that dies is started again.

    The pause doubles with each death and begins anew once the part has lived for `healthy_after`. It is short: whatever
    makes a part die again and again, such as a request of one user, must not keep the others waiting.
    """

    first_pause: float = 0.25
    longest_pause: float = 3.0
    healthy_after: float = 10.0
    deaths: int = 6
    """After so many a part that was never healthy is given up. One that was is started again for ever."""


@dataclass(slots=True)
class _Kept:
    """A part that is being kept up: its present process, since when that runs, and its deaths since it was healthy."""

    part: Part
    child: Child
    since: float
    deaths: int = 0
    was_healthy: bool = False
    """Whether it was ready, or lived long enough, at any time."""
    task: asyncio.Task[None] | None = None


class Supervisor:
    """Runs stages of parts. Use `start`, then `until_failure`, and always `stop`."""

    def __init__(self, folders: Folders, screen: Screen, state: State, patience: Patience | None = None) -> None:
        self._folders = folders
        self._screen = screen
        self._state = state
        self._patience = patience or Patience()
        self._kept: list[_Kept] = []
        self._order: list[str] = []
        self._one_shots: set[Child] = set()
        self._up = False
        self._failure: asyncio.Future[LaunchError] = asyncio.get_running_loop().create_future()

    async def start(self, stages: Sequence[Stage], finally_ready: Probe | None = None) -> None:
        """Start each stage once the one before is ready; return when everything is.

        Raises:
            LaunchError: a part cannot be started, or died before everything was ready.
        """
        for stage in stages:
            await self._or_failure(self._start_stage(stage))
        if finally_ready is not None:
            await self._or_failure(wait_until(finally_ready))
        self._up = True

    async def until_failure(self) -> LaunchError:
        """Return the reason once a part is given up; waits for ever otherwise."""
        return await asyncio.shield(self._failure)

    async def stop(self) -> None:
        """Stop the parts one after the other, the last started first."""
        # Nobody is started again from here on, also not who dies because what it needs is gone.
        await _cancelled([kept.task for kept in self._kept if kept.task is not None])
        # By the plan, not by who was up first: what a stage lists last stops first.
        for kept in sorted(self._kept, key=lambda kept: self._order.index(kept.part.name), reverse=True):
            self._screen.stopping(kept.part)
            await kept.child.stop()
        for child in list(self._one_shots):
            await child.stop()

    def running(self) -> list[tuple[str, PartState]]:
        """Return name and state of each part that is kept up, in the order of the plan."""
        return sorted(self._state.parts.items(), key=lambda item: self._order.index(item[0]))

    def kill(self) -> None:
        """Kill everything at once."""
        for child in [kept.child for kept in self._kept] + list(self._one_shots):
            child.kill()

    def waiting_for(self) -> str:
        """Name what is not ready yet, for the message of a start that took too long."""
        return self._screen.unready()

    async def _start_stage(self, stage: Stage) -> None:
        self._order += [part.name for part in stage]
        tasks = [asyncio.create_task(self._start_part(part)) for part in stage]
        try:
            await asyncio.gather(*tasks)
        finally:
            await _cancelled(tasks)

    async def _start_part(self, part: Part) -> None:
        began = time.monotonic()
        self._screen.starting(part)
        if part.prepare is not None:
            await part.prepare()
        rotate_log(self._folders.log(part.name))
        child = await self._start_child(part)
        if part.one_shot:
            await self._run_to_end(child)
        else:
            kept = _Kept(part, child, time.monotonic())
            self._kept.append(kept)
            self._record(kept)
            kept.task = asyncio.create_task(self._keep(kept))
            if part.ready is not None:
                await wait_until(part.ready)
                kept.was_healthy = True
        self._screen.ready(part, child.pid, time.monotonic() - began)

    async def _start_child(self, part: Part) -> Child:
        if part.clear is not None:
            await asyncio.to_thread(part.clear)
        return await start_child(part, self._folders.log(part.name))

    async def _run_to_end(self, child: Child) -> None:
        self._one_shots.add(child)
        code = await child.wait()
        self._one_shots.discard(child)
        if code:
            raise LaunchError(child.epitaph(code))

    async def _keep(self, kept: _Kept) -> None:
        """Start the part again whenever it dies; give up one that was never healthy."""
        code = await kept.child.wait()
        told = kept.child.epitaph(code)
        while self._up:
            pause = self._pause_after_death(kept)
            if pause is None:
                self._fail(LaunchError(f"gave up after {kept.deaths} deaths: {told}"))
                return
            self._screen.died(told, pause)
            await asyncio.sleep(pause)
            try:
                await self._restart(kept)
            except LaunchError as error:
                told = str(error)
            else:
                told = kept.child.epitaph(await kept.child.wait())
        self._fail(LaunchError(told))

    def _pause_after_death(self, kept: _Kept) -> float | None:
        """Return how long to wait before the next start; None when it died too often and was never healthy."""
        patience = self._patience
        if time.monotonic() - kept.since >= patience.healthy_after:
            kept.was_healthy = True
            kept.deaths = 0
        kept.deaths += 1
        if kept.deaths >= patience.deaths and not kept.was_healthy:
            return None
        pause = patience.first_pause
        for _ in range(kept.deaths - 1):
            pause = min(pause * 2, patience.longest_pause)
        return pause

    async def _restart(self, kept: _Kept) -> None:
        kept.since = time.monotonic()
        kept.child = await self._start_child(kept.part)
        self._record(kept)
        self._screen.restarted(kept.part, kept.child.pid)

    def _record(self, kept: _Kept) -> None:
        earlier = self._state.parts.get(kept.part.name)
        log = str(self._folders.log(kept.part.name))
        restarts = earlier.restarts + 1 if earlier else 0
        self._state.record(kept.part.name, PartState(kept.part.title, kept.child.pid, kept.part.address, log, restarts))

    def _fail(self, error: LaunchError) -> None:
        if not self._failure.done():
            self._failure.set_result(error)

    async def _or_failure(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        try:
            waiting: set[asyncio.Future[Any]] = {task, self._failure}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                raise self._failure.result()
            await task
        finally:
            await _cancelled([task])


async def _cancelled(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
