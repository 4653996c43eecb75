"""Sessions that ended before their access tokens did. Every service asks on every call, so logout works at once."""

import asyncio
from collections.abc import AsyncGenerator, Iterator

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis.errors import SessionCheckUnavailable

_PREFIX = "revoked-session:"
_CHANNEL = "ended-sessions"
_LISTEN_SECONDS = 10.0
_BATCH = 500
_PATIENCE_SECONDS = 3.0


class RevokedSessions:
    """The ended sessions, kept in Valkey for as long as one of their access tokens could still be good."""

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey

    async def add(self, session_id: str, lifetime_seconds: int) -> None:
        """Refuse the session from now on, for `lifetime_seconds`, and end its streams.

        Raises RedisError when Valkey is away.
        """
        async with self._valkey.pipeline(transaction=True) as pipeline:
            pipeline.set(_PREFIX + session_id, b"1", ex=max(lifetime_seconds, 1))
            pipeline.publish(_CHANNEL, session_id)
            await pipeline.execute()

    async def contains(self, session_id: str) -> bool:
        """Return whether the session has ended. Raises SessionCheckUnavailable when that cannot be told."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return bool(await self._valkey.exists(_PREFIX + session_id))
        except (RedisError, TimeoutError) as error:
            raise SessionCheckUnavailable from error

    async def ended_among(self, session_ids: list[str]) -> list[str]:
        """Return those of the sessions that have ended. Raises SessionCheckUnavailable when that cannot be told."""
        ended: list[str] = []
        try:
            for batch in _batched(session_ids, _BATCH):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    marks = await self._valkey.mget([_PREFIX + session_id for session_id in batch])
                ended += [session_id for session_id, mark in zip(batch, marks, strict=True) if mark is not None]
        except (RedisError, TimeoutError) as error:
            raise SessionCheckUnavailable from error
        return ended

    async def announcements(self) -> AsyncGenerator[str | None, None]:
        """Yield the ids of sessions as they end, and None when some may have been missed: at first, and after a loss.

        Raises RedisError when Valkey is away.
        """
        async with self._valkey.pubsub() as subscription:
            await subscription.subscribe(_CHANNEL)
            while True:
                message = await subscription.get_message(timeout=_LISTEN_SECONDS)
                if message is None:
                    await subscription.ping()
                elif message["type"] == "message":
                    yield message["data"].decode()
                elif message["type"] == "subscribe":
                    # redis-py subscribes again by itself after a loss; what was said meanwhile nobody heard.
                    yield None


def _batched(values: list[str], size: int) -> Iterator[list[str]]:
    """Yield the values in lists of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
