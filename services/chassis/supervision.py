"""Loops that run beside a server for as long as it runs."""

import asyncio
from collections.abc import Awaitable, Callable

from services.chassis import logs

_log = logs.get(__name__)
_MAX_PAUSE_SECONDS = 5.0


async def keep_running(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run `loop` until cancelled: when it fails, log it and start it again with back-off (0.1 s to 5 s)."""
    pause = 0.1
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await loop()
            return
        except Exception:
            _log.exception("background loop failed, starting it again", loop=name, pause_seconds=pause)
        if asyncio.get_running_loop().time() - started > _MAX_PAUSE_SECONDS * 2:
            pause = 0.1
        await asyncio.sleep(pause)
        pause = min(pause * 2, _MAX_PAUSE_SECONDS)
