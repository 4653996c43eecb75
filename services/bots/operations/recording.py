"""Record who changed what."""

from datetime import UTC, datetime
from uuid import UUID

from services.bots.ports import Transaction
from services.bots.rules import Change
from services.chassis.identifiers import new_id
from services.chassis.owners import Who


async def record(
    tx: Transaction, who: Who, subject: str, subject_id: UUID, action: str, detail: str = "", *, stale: str = ""
) -> None:
    """Store a change with what it tells of; `stale` is the key of what was cached."""
    change = Change(new_id(), subject, subject_id, action, detail, who.user_id, datetime.now(UTC))
    await tx.changes.add(change, who.owner, stale)
