"""Notices as events of the topic `notify_user`, in the event outbox."""

from dataclasses import dataclass

from parley.events.v1.notify_user_pb2 import NotifyUser

from services.chassis.events.topics import NOTIFY_USER, payload_of
from services.chassis.outbox import Outbox
from services.identity.backends.postgres_work import PostgresWork
from services.identity.rules.notices import Notice


@dataclass(frozen=True, slots=True)
class OutboxNotices:
    """Implements the port Notices."""

    work: PostgresWork
    events: Outbox

    async def tell(self, notice: Notice) -> None:
        """See the port."""
        said = NotifyUser(user_id=str(notice.user_id), kind=notice.kind, data=notice.data)
        async with self.work.connection() as connection:
            await self.events.add(connection, NOTIFY_USER, said.user_id, payload_of(said))
