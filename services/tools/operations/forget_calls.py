"""Forget calls that ended long ago."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.chassis import logs
from services.tools.ports import Transactions

_log = logs.get(__name__)
_EVERY_SECONDS = 600.0
_BATCH = 500


@dataclass(frozen=True, slots=True)
class ForgetCalls:
    """Runs beside every server; any number may run. What was answered stays with the conversation."""

    transactions: Transactions
    kept: timedelta
    clock: Callable[[], datetime]

    async def keep_forgetting(self) -> None:
        """Look every ten minutes, for ever."""
        while True:
            await self.forget()
            await asyncio.sleep(_EVERY_SECONDS)

    async def forget(self) -> int:
        """Delete what is too old, in short transactions, and return how many calls that were.

        A call that has not ended stays, and with it all calls of its run: their model still has to hear of them.
        """
        before, total = self.clock() - self.kept, 0
        while True:
            async with self.transactions.begin() as tx:
                count = await tx.calls.forget(before, _BATCH)
            total += count
            if count < _BATCH:
                break
        async with self.transactions.begin() as tx:
            await tx.calls.forget_runs(before)
        if total:
            _log.info("old calls forgotten", count=total)
        return total
