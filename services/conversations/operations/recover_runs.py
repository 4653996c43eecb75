"""Find conversations whose workers have died and nudge the living about them."""

import asyncio
from dataclasses import dataclass

from services.chassis import logs
from services.conversations.ports import Transactions

_log = logs.get(__name__)
_PAUSE_SECONDS = 2.0
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class RecoverRuns:
    """Sees to it that every accepted message is answered, whatever became of its nudge."""

    transactions: Transactions

    async def keep_recovering(self) -> None:
        """Look every two seconds, for ever. Any number of processes may do so."""
        while True:
            async with self.transactions.begin() as tx:
                nudged = await tx.runs.nudge_stranded(_AT_ONCE)
            if nudged:
                self.transactions.nudge_committed()
                _log.info("nudged stranded conversations", count=nudged)
            await asyncio.sleep(_PAUSE_SECONDS)
