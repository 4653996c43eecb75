"""Codes in Valkey: single use, for ten minutes, with few tries, and kept as a keyed hash."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.identity.errors import AttemptsNotCounted
from services.identity.rules.accounts import CODE_DIGITS, CODE_LIFETIME, CODE_TRIES, Purpose, code_hash

# One step, so that of many tries at once none goes uncounted and one at most uses the code up.
_TAKE = """
local kept = redis.call('HGET', KEYS[1], 'hash')
if not kept then return 0 end
if kept == ARGV[1] then redis.call('DEL', KEYS[1]) return 1 end
if redis.call('HINCRBY', KEYS[1], 'tries', 1) >= tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) end
return 0
"""


class ValkeyCodes:
    """Implements the port Codes. `secret` is the house's: without it a hash of few digits would hide nothing."""

    def __init__(self, valkey: Redis, secret: str) -> None:
        self._valkey = valkey
        self._secret = secret
        self._take = valkey.register_script(_TAKE)

    async def make(self, purpose: Purpose, account: str) -> str:
        """See the port."""
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        key = self._key(purpose, account)
        with _reachable():
            async with self._valkey.pipeline(transaction=True) as pipeline:
                pipeline.delete(key)
                pipeline.hset(key, "hash", code_hash(self._secret, purpose, account, code))
                pipeline.expire(key, CODE_LIFETIME)
                await pipeline.execute()
        return code

    async def take(self, purpose: Purpose, account: str, code: str) -> bool:
        """See the port."""
        given = code_hash(self._secret, purpose, account, code)
        with _reachable():
            return bool(await self._take(keys=[self._key(purpose, account)], args=[given, CODE_TRIES]))

    def _key(self, purpose: Purpose, account: str) -> str:
        # The account is hidden too: for an unknown login it is what somebody typed.
        return f"identity:code:{code_hash(self._secret, purpose, account, '')}"


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise AttemptsNotCounted from error
