"""Wake-ups between processes over Valkey's publish/subscribe.

A wake-up may be lost with a connection, so whoever waits for one also looks by itself now and then.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis.supervision import keep_running

_KEEP_OPEN = "parley:wake-ups"


class WakeUps:
    """One subscription of this process, shared by all who wait. It is opened when first used.

    A channel of its own suits what few wait for. What many wait for in turn shares a channel that stays subscribed:
    `about` then says which wake-up is meant, and is what is published on it.
    """

    def __init__(self, valkey: Redis) -> None:
        self._subscription = valkey.pubsub(ignore_subscribe_messages=True)
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)
        self._subscribed: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def subscribed(self, channel: str, about: str = "") -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set whenever `about` is published on `channel`; the waiter clears it."""
        event = asyncio.Event()
        waiting = (channel, about)
        async with self._lock:
            if self._task is None:
                await self._subscription.subscribe(_KEEP_OPEN)
                self._task = asyncio.create_task(keep_running("wake-ups", self._listen))
            if channel not in self._subscribed:
                await self._subscription.subscribe(channel)
                self._subscribed.add(channel)
            self._waiting[waiting].add(event)
        try:
            yield event
        finally:
            async with self._lock:
                self._waiting[waiting].discard(event)
                if not self._waiting[waiting]:
                    del self._waiting[waiting]
                    if not about:
                        self._subscribed.discard(channel)
                        with contextlib.suppress(RedisError):
                            await self._subscription.unsubscribe(channel)

    async def _listen(self) -> None:
        # A reconnection subscribes again by itself; those who waited meanwhile look once more.
        for events in list(self._waiting.values()):
            for event in events:
                event.set()
        while True:
            message = await self._subscription.get_message(timeout=None)
            if message is not None:
                for event in self._waiting.get((message["channel"].decode(), message["data"].decode()), ()):
                    event.set()

    async def close(self) -> None:
        """Close the subscription."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._subscription.aclose()  # type: ignore[no-untyped-call]
