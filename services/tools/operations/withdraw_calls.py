"""Withdraw the calls of a run that has ended: nobody would hear of what they do."""

from dataclasses import dataclass
from uuid import UUID

from services.chassis import logs
from services.tools.ports import Endings, Transactions
from services.tools.rules import Call, after_its_run

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class WithdrawCalls:
    """The operation on the calls of a run."""

    transactions: Transactions
    endings: Endings

    async def withdraw(self, run_id: UUID) -> list[Call]:
        """End the calls of a run that no worker has, and let it have no more; a call that is being done is left alone.

        Returns the calls of the run that are withdrawn or of unknown outcome, also those that were so before. May be
        called any number of times.
        """
        async with self.transactions.begin() as tx:
            idle = await tx.calls.end_run(run_id)
            for call in idle:
                await tx.calls.end(call.call_id, after_its_run(call.attempt), call.decided_by)
            withdrawn = await tx.calls.withdrawn(run_id)
        for call in idle:
            await self.endings.announce(call.call_id)
        if idle:
            _log.info("tool calls withdrawn", run_id=str(run_id), count=len(idle))
        return withdrawn
