"""Withdraw the open calls of runs that were cancelled, failed or deleted: nobody would wait for what they do.

That it is to be done is stored with the end of the run, so that it is done whoever dies in between. A call that is
being done is looked after until it has ended, so that the answer shows what came of it.
"""

import asyncio
from dataclasses import dataclass, replace
from uuid import UUID

from services.chassis import logs
from services.conversations.ports import ModelFailed, Tools, Transactions
from services.conversations.rules import CallState, ToolCall

_log = logs.get(__name__)
_PAUSE_SECONDS = 1.0
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class WithdrawCalls:
    """Tells who keeps the calls, again and ever less often until it is told."""

    transactions: Transactions
    tools: Tools

    async def keep_withdrawing(self) -> None:
        """Look every second, for ever. Any number of processes may do so."""
        while True:
            while await self.look() == _AT_ONCE:
                pass
            await asyncio.sleep(_PAUSE_SECONDS)

    async def look(self) -> int:
        """Withdraw what is due, each run for itself, and return how many runs that were."""
        async with self.transactions.begin() as tx:
            due = await tx.withdrawals.due(_AT_ONCE)
        await asyncio.gather(*[self._tried(run_id) for run_id in due])
        return len(due)

    async def now(self, run_id: UUID) -> list[ToolCall]:
        """Withdraw the open calls of a run that has ended, if it had any, and return which did; they stand elsewhere.

        When that cannot be done now, it is done later.
        """
        try:
            async with self.transactions.begin() as tx:
                is_due = await tx.withdrawals.is_due(run_id)
        except Exception:
            _log.exception("withdrawing is left for later", run_id=str(run_id))
            return []
        return await self._tried(run_id) if is_due else []

    async def _tried(self, run_id: UUID) -> list[ToolCall]:
        try:
            return await self._withdraw(run_id)
        except ModelFailed as failure:
            _log.warning("tool calls cannot be withdrawn now", run_id=str(run_id), reason=failure.reason)
        except Exception:
            # One that is refused holds up no other.
            _log.exception("withdrawing failed", run_id=str(run_id))
        return []

    async def _withdraw(self, run_id: UUID) -> list[ToolCall]:
        async with self.transactions.autocommit() as tx:
            rounds = await tx.runs.rounds(run_id)
        opened = {call.call_id: call for one in rounds for call in one.calls if not call.state.has_ended}
        ended = await self._ended(run_id, list(opened.values()))
        changed = [
            replace(one, calls=tuple(ended.get(call.call_id, call) for call in one.calls))
            for one in rounds
            if any(call.call_id in ended for call in one.calls)
        ]
        async with self.transactions.begin() as tx:
            await tx.withdrawals.note(run_id, changed, settled=len(ended) == len(opened))
        return list(ended.values())

    async def _ended(self, run_id: UUID, opened: list[ToolCall]) -> dict[UUID, ToolCall]:
        """Withdraw calls and return those that have ended, in whatever way; the others are being done."""
        ended = {call.call_id: call for call in await self.tools.withdraw(run_id, opened)}
        others = [call for call in opened if call.call_id not in ended]
        if not others:
            return ended
        standing = {call.call_id: call for call in await self.tools.wait(others, 0.0)}
        # Who keeps the calls was never asked for one that it does not know, and does it no more when it is asked now.
        unknown = [replace(call, state=CallState.WITHDRAWN) for call in others if call.call_id not in standing]
        found = [call for call in (*standing.values(), *unknown) if call.state.has_ended]
        return ended | {call.call_id: call for call in found}
