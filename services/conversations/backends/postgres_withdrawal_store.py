"""Withdrawals that are owed, in PostgreSQL."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.conversations.backends.run_statements import (
    DUE_WITHDRAWAL,
    DUE_WITHDRAWALS,
    OWE_WITHDRAWALS,
    SETTLE_ROUND,
    SETTLE_WITHDRAWAL,
)
from services.conversations.backends.tables import RUN, stored_call
from services.conversations.rules import Round


@dataclass(frozen=True, slots=True)
class PostgresWithdrawalStore:
    """Implements the port WithdrawalStore on one connection."""

    connection: AsyncConnection

    async def owe(self, conversation_id: UUID) -> None:
        """See the port."""
        runs = await self.connection.scalars(select(RUN.c.id).where(RUN.c.conversation_id == conversation_id))
        await self.connection.execute(OWE_WITHDRAWALS, {"run_ids": list(runs)})

    async def due(self, limit: int) -> list[UUID]:
        """See the port."""
        return list(await self.connection.scalars(DUE_WITHDRAWALS, {"limit": limit}))

    async def is_due(self, run_id: UUID) -> bool:
        """See the port."""
        return (await self.connection.execute(DUE_WITHDRAWAL, {"run_id": run_id})).rowcount == 1

    async def note(self, run_id: UUID, changed: Iterable[Round], *, settled: bool) -> None:
        """See the port."""
        for one in changed:
            values = {"run_id": run_id, "depth": one.depth, "calls": [stored_call(call) for call in one.calls]}
            await self.connection.execute(SETTLE_ROUND, values)
        if settled:
            await self.connection.execute(SETTLE_WITHDRAWAL, {"run_id": run_id})
