"""Mails to be written, in the outbox: stored with what they tell of, sent by a job."""

from dataclasses import dataclass
from uuid import UUID

from services.chassis.outbox import Outbox
from services.identity.backends.postgres_work import PostgresWork
from services.identity.rules.accounts import MAIL_QUEUE, Purpose
from services.identity.rules.notices import Notice


@dataclass(frozen=True, slots=True)
class OutboxMailQueue:
    """Implements the port MailQueue. What waits holds no code: the job makes it."""

    work: PostgresWork
    outbox: Outbox

    async def code(self, purpose: Purpose, email: str) -> None:
        """See the port."""
        await self._add(email, {"kind": purpose.value, "about": email})

    async def invitation(self, invitation_id: UUID) -> None:
        """See the port."""
        await self._add(str(invitation_id), {"kind": "invitation", "about": str(invitation_id)})

    async def notice(self, notice: Notice) -> None:
        """See the port."""
        said = {"notice": notice.kind, "data": dict(notice.data)}
        await self._add(str(notice.user_id), {"kind": "notice", "about": str(notice.user_id), **said})

    async def _add(self, key: str, payload: dict[str, object]) -> None:
        async with self.work.connection() as connection:
            await self.outbox.add(connection, MAIL_QUEUE, key, payload)
