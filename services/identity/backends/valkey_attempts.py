"""Counters of tries in Valkey: fixed windows that begin with their first try."""

import asyncio
import hashlib

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.identity.errors import AttemptsNotCounted
from services.identity.ports.accounts import Limit

_PATIENCE_SECONDS = 3.0
# Counting and setting the end are one step: a counter without an end would lock somebody out for ever.
_ADD = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if count <= tonumber(ARGV[1]) then return 0 end
return redis.call('PTTL', KEYS[1])
"""


class ValkeyAttempts:
    """Implements the port Attempts."""

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey
        self._add = valkey.register_script(_ADD)

    async def add(self, bucket: str, limit: Limit) -> float:
        """See the port."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                left = await self._add(keys=[_key(bucket)], args=[limit.count, limit.seconds * 1000])
        except (RedisError, TimeoutError) as error:
            raise AttemptsNotCounted from error
        return max(int(left), 0) / 1000

    async def forget(self, bucket: str) -> None:
        """See the port."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._valkey.delete(_key(bucket))
        except (RedisError, TimeoutError) as error:
            raise AttemptsNotCounted from error


def _key(bucket: str) -> str:
    # Hashed: a bucket may be named after what somebody typed as a login, which may be a password.
    return f"identity:attempts:{hashlib.sha256(bucket.encode()).hexdigest()}"
