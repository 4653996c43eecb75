"""Which events this service has dealt with, in PostgreSQL."""

from dataclasses import dataclass
from uuid import UUID

from services.chassis.inbox import Inbox
from services.identity.backends.postgres_work import PostgresWork


@dataclass(frozen=True, slots=True)
class PostgresInbox:
    """Implements the port HandledEvents."""

    work: PostgresWork
    inbox: Inbox

    async def is_first(self, consumer: str, event_id: UUID) -> bool:
        """See the port."""
        async with self.work.connection() as connection:
            return await self.inbox.is_first(connection, consumer, event_id)
