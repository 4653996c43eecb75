"""Look after calls that nobody is at: lost nudges, dead workers, approvals that never came."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from services.chassis import logs
from services.tools.ports import Endings, Transactions
from services.tools.rules import CallState, Outcome, after_a_crash

_log = logs.get(__name__)
_EVERY_SECONDS = 2.0
_BATCH = 100
_TOO_LATE = Outcome(CallState.DENIED, "", "NOT_APPROVED_IN_TIME", "nobody approved the call in time")


@dataclass(frozen=True, slots=True)
class RecoverCalls:
    """Runs beside every server; any number may run."""

    transactions: Transactions
    endings: Endings

    async def keep_recovering(self) -> None:
        """Look every 2 s, for ever."""
        while True:
            await self.recover()
            await asyncio.sleep(_EVERY_SECONDS)

    async def recover(self) -> None:
        """Look once."""
        ended = []
        async with self.transactions.begin() as tx:
            for claim in await tx.calls.lost(_BATCH):
                outcome = after_a_crash(claim.tool, claim.call)
                if await tx.calls.finish(claim, outcome) is not None and outcome is not None:
                    ended.append(claim.call.call_id)
            for call_id in await tx.calls.overdue(datetime.now(UTC), _BATCH):
                await tx.calls.end(call_id, _TOO_LATE)
                ended.append(call_id)
            nudged = await tx.calls.nudge_stranded(_BATCH)
        if ended or nudged:
            _log.info("calls looked after", ended=len(ended), nudged=nudged)
            self.transactions.nudge_committed()
        for call_id in ended:
            await self.endings.announce(call_id)
