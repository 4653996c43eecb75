"""Keeps in Valkey what is needed to answer, and falls back to what is behind it when Valkey is away."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.bots.ports import Answering
from services.bots.rules import Application, Bot, PromptVersion, application_key, bot_key, prompt_key
from services.chassis import logs

_log = logs.get(__name__)
_PREFIX = "bots:cache:"
# An answer waits no longer than this for a cache.
_PATIENCE_SECONDS = 0.25
# Longer than any reader may hold an old value in its hands.
_DROPPED_SECONDS = 600
_BOT = TypeAdapter(tuple[Bot, str])
_APPLICATION = TypeAdapter(tuple[Application, str])
_VERSION = TypeAdapter(PromptVersion)
# Whoever read PostgreSQL before the last drop must not store what was read.
_STORE = """
if (redis.call('GET', KEYS[2]) or '') == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
"""
T = TypeVar("T")


class ValkeyCachingAnswering:
    """Implements the ports Answering and StaleEntries. What is dropped is never served again."""

    def __init__(self, valkey: Redis, behind: Answering, seconds: float) -> None:
        self._valkey = valkey
        self._behind = behind
        self._milliseconds = int(seconds * 1000)

    async def bot(self, bot_id: UUID) -> tuple[Bot, str] | None:
        """See the port."""
        return await self._cached(bot_key(bot_id), _BOT, lambda: self._behind.bot(bot_id))

    async def application(self, application_id: UUID) -> tuple[Application, str] | None:
        """See the port."""
        key = application_key(application_id)
        return await self._cached(key, _APPLICATION, lambda: self._behind.application(application_id))

    async def prompt(self, prompt_id: UUID, label: str) -> PromptVersion | None:
        """See the port."""
        return await self._cached(prompt_key(prompt_id, label), _VERSION, lambda: self._behind.prompt(prompt_id, label))

    async def drop(self, keys: Sequence[str]) -> None:
        """See the port StaleEntries."""
        async with self._valkey.pipeline(transaction=True) as pipeline:
            for key in keys:
                entry, drops = _names(key)
                pipeline.incr(drops)
                pipeline.expire(drops, _DROPPED_SECONDS)
                pipeline.delete(entry)
            await pipeline.execute()

    async def _cached(self, key: str, kind: TypeAdapter[T], load: Callable[[], Awaitable[T | None]]) -> T | None:
        if not self._milliseconds:
            return await load()
        entry, drops = _names(key)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                stored, dropped = await self._valkey.mget(entry, drops)
        except (RedisError, TimeoutError) as error:
            _log.warning("the cache is away, reading the database", error=type(error).__name__)
            return await load()
        if stored is not None:
            try:
                return kind.validate_json(stored)
            except ValidationError:
                _log.warning("an entry of another release is not used", key=key)
        found = await load()
        if found is not None:
            await self._store(entry, drops, dropped or b"", kind.dump_json(found))
        return found

    async def _store(self, entry: str, drops: str, dropped: bytes | str, value: bytes) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._valkey.eval(_STORE, 2, entry, drops, dropped, value, str(self._milliseconds))
        except (RedisError, TimeoutError) as error:
            _log.warning("the cache is away, nothing was stored", error=type(error).__name__)


def _names(key: str) -> tuple[str, str]:
    # One slot of a cluster for both.
    return f"{_PREFIX}{{{key}}}", f"{_PREFIX}{{{key}}}:drops"
