"""What waits to be sent on one connection: bounded, and emptied by one writer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from adapters.websocket.codes import SLOW, Disconnected

_BATCH_BYTES = 32 * 1024


class Outbox:
    """A queue of messages. Whoever finds it full waits; when that lasts too long, the client is too slow."""

    def __init__(self, *, max_messages: int, max_bytes: int, slow_seconds: float) -> None:
        """Take the bounds, and how long a full queue is borne with."""
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._slow_seconds = slow_seconds
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._sending = False
        self._changed = asyncio.Condition()

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._waiting)

    async def put(self, message: bytes) -> None:
        """Queue a message.

        Raises:
            Disconnected: the queue stayed full.
        """
        async with self._changed:
            if not self._has_room(message):
                try:
                    async with asyncio.timeout(self._slow_seconds):
                        await self._changed.wait_for(lambda: self._has_room(message))
                except TimeoutError:
                    raise Disconnected(SLOW) from None
            self._waiting.append(message)
            self._bytes += len(message)
            self._changed.notify_all()

    async def write_to(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what is queued, several messages in a frame where they are small, until cancelled."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
                batch = self._take()
                self._sending = True
                self._changed.notify_all()
            await send(b"\n".join(batch).decode())
            async with self._changed:
                self._sending = False
                self._changed.notify_all()

    async def flush(self) -> None:
        """Wait until everything is sent. The caller sets the limit."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting and not self._sending)

    def _has_room(self, message: bytes) -> bool:
        if not self._waiting:
            # A message that is larger than the whole queue goes alone.
            return True
        return len(self._waiting) < self._max_messages and self._bytes + len(message) <= self._max_bytes

    def _take(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._waiting and (not batch or size + len(self._waiting[0]) <= _BATCH_BYTES):
            message = self._waiting.popleft()
            batch.append(message)
            size += len(message)
        self._bytes -= size
        return batch
