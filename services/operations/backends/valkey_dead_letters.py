"""The dead letters that Dramatiq keeps in Valkey: a sorted set `<queue>.XQ` by time, and a hash with the messages."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

from redis.asyncio import Redis

from services.operations.backends.failed_messages import failed_message
from services.operations.rules import FailedMessage

_NAMESPACE = "dramatiq:"
_DEAD = ".XQ"
_SCAN = 5000
_LOOK_SECONDS = 3.0
_REASON = "dead-lettered without an attempt that told why"


class ValkeyDeadLetters:
    """Implements the port DeadLetterSource. `valkey` is the broker's; queues are found by themselves."""

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey
        self._queues: set[str] = set()
        self._looked_at = float("-inf")

    @asynccontextmanager
    async def taken(self, limit: int) -> AsyncIterator[Sequence[FailedMessage]]:
        """See the port."""
        found: list[tuple[str, bytes]] = []
        messages: list[FailedMessage] = []
        for dead in sorted(await self._dead_queues()):
            entries: list[tuple[bytes, float]] = cast(
                "Any", await self._valkey.zrange(dead, 0, limit - len(messages) - 1, withscores=True)
            )
            for message_id, milliseconds in entries:
                body = cast("bytes | None", await self._valkey.hget(f"{dead}.msgs", message_id.decode()))
                found.append((dead, message_id))
                if body is not None:
                    messages.append(_message(dead, message_id.decode(), milliseconds, body))
            if len(messages) >= limit:
                break
        yield messages
        # An entry is one failure of a message: what fails anew has another.
        async with self._valkey.pipeline(transaction=True) as pipeline:
            for dead, message_id in found:
                pipeline.zrem(dead, message_id)
                pipeline.hdel(f"{dead}.msgs", message_id)
            await pipeline.execute()

    async def _dead_queues(self) -> set[str]:
        # Dramatiq keeps no list of its queues, and a look through all keys is not for every second.
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            pattern = f"{_NAMESPACE}*{_DEAD}"
            async for key in self._valkey.scan_iter(pattern, count=_SCAN, _type="zset"):
                self._queues.add(key.decode())
            self._looked_at = time.monotonic()
        return self._queues

    async def close(self) -> None:
        """See the port."""
        await self._valkey.aclose()


def _message(dead: str, message_id: str, milliseconds: float, body: bytes) -> FailedMessage:
    return failed_message(
        dead.removeprefix(_NAMESPACE).removesuffix(_DEAD),
        body,
        message_id=message_id,
        failure_key=message_id,
        failed_at=datetime.fromtimestamp(milliseconds / 1000, UTC),
        reason=_REASON,
    )
