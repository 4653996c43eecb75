"""Carry on with what takes long, wherever it was."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from services.chassis import logs
from services.operations.operations.replay_dead_letters import KEPT, ReplayDeadLetters
from services.operations.ports import Clock, Lease, Transactions
from services.operations.rules import Operation, OperationState, ended

_log = logs.get(__name__)
_LEASE = timedelta(seconds=15)
_PAUSE_SECONDS = 0.5
_FORGET_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class RunOperations:
    """Does operations step by step. A step and its progress commit together, so a restart goes on where it was."""

    transactions: Transactions
    replays: ReplayDeadLetters
    clock: Clock

    async def keep_running(self) -> None:
        """Look for operations that nobody works on, for ever. Any number of processes may do so."""
        async with asyncio.TaskGroup() as running:
            while True:
                async with self.transactions.begin() as tx:
                    lease = await tx.operations.lease(_LEASE)
                if lease is None:
                    await asyncio.sleep(_PAUSE_SECONDS)
                else:
                    running.create_task(self.run(lease))

    async def run(self, lease: Lease) -> None:
        """Do an operation to its end, or until another process has it."""
        while True:
            moved = await self._step(lease)
            if moved is None:
                return
            operation, seconds = moved
            if operation.has_ended:
                _log.info("operation ended", operation_id=str(operation.operation_id), state=operation.state)
                return
            await asyncio.sleep(seconds)

    async def _step(self, lease: Lease) -> tuple[Operation, float] | None:
        async with self.transactions.begin() as tx:
            operation = await tx.operations.hold(lease, _LEASE)
            if operation is None or operation.has_ended:
                return None
            if operation.cancel_requested:
                moved, seconds = ended(operation, OperationState.CANCELLED, self.clock(), KEPT, "cancelled"), 0.0
            else:
                moved, seconds = await self.replays.step(tx, operation)
            await tx.operations.save(moved)
        self.transactions.jobs_committed()
        return moved, seconds

    async def keep_forgetting(self) -> None:
        """Forget operations whose time is over, for ever."""
        while True:
            async with self.transactions.begin() as tx:
                await tx.operations.forget_expired(self.clock())
            await asyncio.sleep(_FORGET_SECONDS)
