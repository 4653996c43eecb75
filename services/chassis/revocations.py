"""Sessions that ended before their access tokens did. Every service asks on every call, so logout works at once."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis.errors import SessionCheckUnavailable

_PREFIX = "revoked-session:"
_PATIENCE_SECONDS = 3.0


class RevokedSessions:
    """The ended sessions, kept in Valkey for as long as one of their access tokens could still be good."""

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey

    async def add(self, session_id: str, lifetime_seconds: int) -> None:
        """Refuse the session from now on, for `lifetime_seconds`. Raises RedisError when Valkey is away."""
        await self._valkey.set(_PREFIX + session_id, b"1", ex=max(lifetime_seconds, 1))

    async def contains(self, session_id: str) -> bool:
        """Return whether the session has ended. Raises SessionCheckUnavailable when that cannot be told."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return bool(await self._valkey.exists(_PREFIX + session_id))
        except (RedisError, TimeoutError) as error:
            raise SessionCheckUnavailable from error
