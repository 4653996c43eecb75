"""Tells those who wait that a call has ended, over Valkey's publish/subscribe."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis.wake_ups import WakeUps

_CHANNEL = "tools:ended"
_PATIENCE_SECONDS = 2.0


class ValkeyEndings:
    """Implements the port Endings. Without Valkey nobody is told, and whoever waits looks by itself."""

    def __init__(self, valkey: Redis, wake_ups: WakeUps) -> None:
        self._valkey = valkey
        self._wake_ups = wake_ups

    async def announce(self, call_id: UUID) -> None:
        """See the port."""
        with contextlib.suppress(RedisError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._valkey.publish(_CHANNEL, str(call_id))

    @asynccontextmanager
    async def waiting(self, call_ids: Sequence[UUID]) -> AsyncIterator["_Ended"]:
        """See the port."""
        async with AsyncExitStack() as stack:
            events: list[asyncio.Event] = []
            with contextlib.suppress(RedisError, TimeoutError):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    for call_id in call_ids:
                        waiting = self._wake_ups.subscribed(_CHANNEL, str(call_id))
                        events.append(await stack.enter_async_context(waiting))
            yield _Ended(events)


class _Ended:
    """Implements the port Ended."""

    def __init__(self, events: list[asyncio.Event]) -> None:
        self._events = events

    async def wait(self, seconds: float) -> None:
        """See the port."""
        tasks = [asyncio.create_task(event.wait()) for event in self._events]
        if not tasks:
            await asyncio.sleep(seconds)
            return
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task, event in zip(tasks, self._events, strict=True):
            task.cancel()
            event.clear()
        await asyncio.gather(*tasks, return_exceptions=True)
