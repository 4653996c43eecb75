"""Write down who did what."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from services.chassis.identifiers import new_id
from services.operations.ports import Transaction
from services.operations.rules import Action


async def record(
    tx: Transaction,
    verb: str,
    subject_kind: str,
    subject_id: UUID,
    by: str,
    at: datetime,
    details: Mapping[str, object] | None = None,
) -> None:
    """Write an action down in the transaction of the change itself."""
    await tx.actions.add(Action(new_id(), verb, subject_kind, subject_id, by, at, details or {}))
