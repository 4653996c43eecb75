"""Watch, stop and forget what takes long; and read who did what."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.chassis.pagination import PageTokens
from services.operations.errors import OperationNotFound, OperationRunning
from services.operations.operations.record_actions import record
from services.operations.ports import Clock, Transactions
from services.operations.rules import Action, Operation

MOST_WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class KeepOperations:
    """The operations on operations."""

    transactions: Transactions
    page_tokens: PageTokens
    clock: Clock

    async def page(self, size: int, token: str) -> tuple[Sequence[Operation], str]:
        """Return a page of operations, the last begun first, and the token of the next one."""
        asked = self.page_tokens.asked("operations", size, token)
        async with self.transactions.read() as tx:
            found = await tx.operations.page(asked.last_id, asked.count)
        return asked.of(found, lambda one: one.operation_id)

    async def get(self, operation_id: UUID) -> Operation:
        """Return one operation. Raises OperationNotFound."""
        async with self.transactions.read() as tx:
            return _found(await tx.operations.get(operation_id), operation_id)

    async def wait(self, operation_id: UUID, seconds: float) -> Operation:
        """Return an operation once it has ended, or as it is after some seconds. Raises OperationNotFound."""
        deadline = asyncio.get_running_loop().time() + min(seconds, MOST_WAIT_SECONDS)
        while True:
            operation = await self.get(operation_id)
            left = deadline - asyncio.get_running_loop().time()
            if operation.has_ended or left <= 0:
                return operation
            await asyncio.sleep(min(_LOOK_SECONDS, left))

    async def cancel(self, operation_id: UUID, by: str) -> None:
        """Ask an operation to stop between two steps; one that has ended is left alone. Raises OperationNotFound."""
        async with self.transactions.begin() as tx:
            operation = _found(await tx.operations.get(operation_id, lock=True), operation_id)
            if not operation.has_ended and not operation.cancel_requested:
                await tx.operations.save(replace(operation, cancel_requested=True, updated_at=self.clock()))
                await record(tx, "cancel", "operation", operation_id, by, self.clock())

    async def delete(self, operation_id: UUID, by: str) -> None:
        """Forget an operation that has ended. Raises OperationNotFound, OperationRunning."""
        async with self.transactions.begin() as tx:
            operation = _found(await tx.operations.get(operation_id, lock=True), operation_id)
            if not operation.has_ended:
                raise OperationRunning(operation_id=operation_id)
            await tx.operations.delete(operation_id)
            await record(tx, "delete", "operation", operation_id, by, self.clock())

    async def actions(self, subject_id: UUID | None, size: int, token: str) -> tuple[Sequence[Action], str]:
        """Return a page of the action log, the last action first, and the token of the next one."""
        asked = self.page_tokens.asked(f"actions/{subject_id or ''}", size, token)
        async with self.transactions.read() as tx:
            found = await tx.actions.page(subject_id, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.action_id)


def _found(operation: Operation | None, operation_id: UUID) -> Operation:
    if operation is None:
        raise OperationNotFound(operation_id=operation_id)
    return operation
