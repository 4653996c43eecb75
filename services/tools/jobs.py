"""The background work of this service."""

import asyncio
from uuid import UUID

import dramatiq

from services.chassis import logs
from services.tools.operations.dispatch_call import DispatchCalls
from services.tools.ports import Claim

QUEUE = "function_call"
_log = logs.get(__name__)
_DRAIN_SECONDS = 5.0


class Dispatching:
    """Does many calls beside each other on the worker's loop.

    As with answers, the job only takes a call up: from then on its lease in PostgreSQL says that it is worked on, and
    a slow tool holds no thread of the worker. A job that cannot take its call up, because the store is away or what
    it says cannot be read, fails: it is tried again, and at last it is a dead letter that can be replayed.
    """

    def __init__(self, calls: DispatchCalls, at_once: int) -> None:
        self._calls = calls
        self._slots = asyncio.Semaphore(at_once)
        self._tasks: set[asyncio.Task[None]] = set()

    def register(self, broker: dramatiq.Broker) -> None:
        """Declare this service's actors on a worker's broker."""

        async def function_call(call_id: str) -> None:
            await self.take_up(UUID(call_id))

        dramatiq.actor(actor_name=QUEUE, queue_name=QUEUE, broker=broker)(function_call)

    async def take_up(self, call_id: UUID) -> None:
        """Begin to do a call; waits itself while too many are being done."""
        await self._slots.acquire()
        try:
            claim = await self._calls.claim(call_id)
        except BaseException:
            self._slots.release()
            raise
        if claim is None:
            self._slots.release()
            return
        task = asyncio.create_task(self._do(claim))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, claim: Claim) -> None:
        try:
            await self._calls.do(claim)
        except Exception:
            # A store was away. Whoever finds that the lease has run out looks after it.
            _log.exception("dispatching failed", call_id=str(claim.call.call_id))
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Let running calls end for at most 5 s, then break the rest off."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
