"""Look after calls that nobody is at: lost nudges, dead workers, approvals that never came."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.chassis import logs
from services.tools.ports import Endings, Transaction, Transactions
from services.tools.rules import CallState, Outcome, after_a_crash

_log = logs.get(__name__)
_EVERY_SECONDS = 2.0
_BATCH = 100
_TOO_LATE = Outcome(CallState.DENIED, "", "NOT_APPROVED_IN_TIME", "nobody approved the call in time")

Find = Callable[[Transaction, UUID | None], Awaitable[list[UUID]]]
Look = Callable[[Transaction, UUID], Awaitable[bool]]


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
        """Look once. Each call has a transaction of its own: one that the store refuses holds up no other."""
        now = datetime.now(UTC)
        ended = await self._each(lambda tx, after: tx.calls.lost(after, _BATCH), _bury)
        ended += await self._each(lambda tx, after: tx.calls.overdue(now, after, _BATCH), _lapse)
        nudged = await self._each(lambda tx, after: tx.calls.stranded(after, _BATCH), _nudge)
        if ended or nudged:
            _log.info("calls looked after", ended=len(ended), nudged=len(nudged))
            self.transactions.nudge_committed()
        for call_id in ended:
            await self.endings.announce(call_id)

    async def _each(self, find: Find, look: Look) -> list[UUID]:
        """Look at each call that is found, page after page, and return those of which something came."""
        changed: list[UUID] = []
        after: UUID | None = None
        while True:
            async with self.transactions.read() as tx:
                found = await find(tx, after)
            for call_id in found:
                try:
                    async with self.transactions.begin() as tx:
                        came = await look(tx, call_id)
                except Exception:
                    _log.exception("a call cannot be looked after", call_id=str(call_id))
                    continue
                if came:
                    changed.append(call_id)
            if len(found) < _BATCH:
                return changed
            after = found[-1]


async def _bury(tx: Transaction, call_id: UUID) -> bool:
    claim = await tx.calls.take_over(call_id)
    if claim is None:
        return False
    outcome = after_a_crash(claim.tool, claim.call)
    return await tx.calls.finish(claim, outcome) is not None and outcome is not None


async def _lapse(tx: Transaction, call_id: UUID) -> bool:
    if not await tx.calls.lock_overdue(call_id, datetime.now(UTC)):
        return False
    await tx.calls.end(call_id, _TOO_LATE)
    return True


async def _nudge(tx: Transaction, call_id: UUID) -> bool:
    return await tx.calls.nudge_again(call_id)
