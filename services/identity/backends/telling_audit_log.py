"""An audit log that tells of what is written into it: everybody who listens, and the user where there is a notice."""

from dataclasses import dataclass
from uuid import UUID

from parley.events.v1.log_event_pb2 import LogEvent

from services.chassis.events.topics import LOG_EVENT, payload_of
from services.chassis.outbox import Outbox
from services.identity.backends.outbox_notices import OutboxNotices
from services.identity.backends.postgres_work import PostgresWork
from services.identity.ports.accounts import AuditLog
from services.identity.rules.accounts import AuditEvent, AuditQuery
from services.identity.rules.notices import notice_of

_SERVICE = "identity"


@dataclass(frozen=True, slots=True)
class TellingAuditLog:
    """Implements the port AuditLog over another one. What is told commits with what was written."""

    log: AuditLog
    work: PostgresWork
    events: Outbox

    async def add(self, event: AuditEvent) -> None:
        """See the port."""
        async with self.work.together():
            await self.log.add(event)
            async with self.work.connection() as connection:
                key = event.subject_id or event.actor_id or event.action
                await self.events.add(connection, LOG_EVENT, key, payload_of(_said(event)))
            if notice := notice_of(event):
                await OutboxNotices(self.work, self.events).tell(notice)

    async def page(self, query: AuditQuery, before: UUID | None, size: int) -> list[AuditEvent]:
        """See the port."""
        return await self.log.page(query, before, size)


def _said(event: AuditEvent) -> LogEvent:
    # Neither the details nor the network address: who may read the log finds them there.
    said = LogEvent(
        service=_SERVICE,
        log_id=str(event.event_id),
        action=event.action,
        actor_id=event.actor_id,
        subject_id=event.subject_id,
        outcome=event.outcome,
        request_id=event.request_id,
    )
    said.create_time.FromDatetime(event.at)
    return said
