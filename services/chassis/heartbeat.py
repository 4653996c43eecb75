"""Keeps a lease for as long as a block of work runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class LeaseLost(Exception):
    """Somebody else holds the lease now: whatever the former holder still does must leave no trace."""


@asynccontextmanager
async def renewed(renew: Callable[[], Awaitable[bool]], every_seconds: float) -> AsyncIterator[None]:
    """Renew a lease again and again while the block runs; once `renew` says that it is lost, end it with LeaseLost."""
    block = asyncio.current_task()
    assert block is not None  # noqa: S101 - we are in a coroutine
    lost = False

    async def keep_renewing() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(every_seconds)
            if not await renew():
                lost = True
                block.cancel()
                return

    heartbeat = asyncio.create_task(keep_renewing())
    try:
        yield
    except asyncio.CancelledError:
        if lost:
            block.uncancel()
            raise LeaseLost from None
        raise
    finally:
        heartbeat.cancel()
        await asyncio.gather(heartbeat, return_exceptions=True)
