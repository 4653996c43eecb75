"""Drops from the cache what committed changes have made stale.

The change and the key to drop commit together, so that a process that dies right after its commit, or a cache that is
away, delays a drop and never loses it.
"""

import asyncio
import contextlib

from redis.exceptions import RedisError
from sqlalchemy import select, update

from services.bots.backends.tables import CHANGE
from services.bots.ports import StaleEntries
from services.chassis import logs
from services.chassis.database import Database

_log = logs.get(__name__)
_POLL_SECONDS = 0.3
_BATCH = 200


class PostgresStaleRelay:
    """Any number of processes may run it at once."""

    def __init__(self, database: Database, entries: StaleEntries) -> None:
        self._database = database
        self._entries = entries
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Say that a change has committed, so that this process looks at once."""
        self._wake.set()

    async def run(self) -> None:
        """Drop for ever."""
        while True:
            self._wake.clear()
            try:
                while await self._drop_batch() == _BATCH:
                    pass
            except (RedisError, TimeoutError) as error:
                _log.warning("the cache is away, entries are dropped later", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()

    async def _drop_batch(self) -> int:
        waiting = select(CHANGE.c.id, CHANGE.c.stale).where(CHANGE.c.stale != "").order_by(CHANGE.c.id).limit(_BATCH)
        async with self._database.transaction() as connection:
            rows = (await connection.execute(waiting.with_for_update(skip_locked=True))).all()
            if rows:
                async with asyncio.timeout(1.0):
                    await self._entries.drop([row.stale for row in rows])
                done = update(CHANGE).where(CHANGE.c.id.in_([row.id for row in rows])).values(stale="")
                await connection.execute(done)
            return len(rows)
