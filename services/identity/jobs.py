"""The background work of this service: mails, and the events that it listens to."""

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import dramatiq
from parley.events.v1.notify_user_pb2 import NotifyUser
from parley.events.v1.user_paid_pb2 import UserPaid

from services.chassis.events.bus import EventBus
from services.chassis.events.topics import NOTIFY_USER, USER_PAID, message_of
from services.chassis.outbox import Event
from services.identity.operations.deliver_notices import MAILER, NOTIFIER, DeliverNotices
from services.identity.operations.send_mails import SendMails
from services.identity.rules.accounts import MAIL_QUEUE, Purpose
from services.identity.rules.notices import Notice

# A mail server may be away for hours: with pauses of 0.5 s, 1 s … 10 minutes that is most of a day.
_MAX_RETRIES = 120
_MAX_BACKOFF_MS = 10 * 60 * 1000
_INVITATION = "invitation"
_NOTICE = "notice"


class MailJobs:
    """Sends what waits in the queue of mails. A job holds no code and no token: those are made when it is sent."""

    def __init__(self, mails: SendMails) -> None:
        self._mails = mails

    def register(self, broker: dramatiq.Broker) -> None:
        """Declare this service's actors on a worker's broker."""

        async def identity_mail(kind: str, about: str, notice: str = "", data: Mapping[str, str] | None = None) -> None:
            await self.send(kind, about, notice, data)

        dramatiq.actor(
            actor_name=MAIL_QUEUE,
            queue_name=MAIL_QUEUE,
            broker=broker,
            max_retries=_MAX_RETRIES,
            max_backoff=_MAX_BACKOFF_MS,
        )(identity_mail)

    async def send(self, kind: str, about: str, notice: str = "", data: Mapping[str, str] | None = None) -> None:
        """Write and send one mail; raises when it was not taken.

        `kind` is a Purpose, `invitation` or `notice`; `about` an address, an invitation's id or a user's id. A notice
        has a kind of its own and its data.
        """
        if kind == _INVITATION:
            await self._mails.invitation(UUID(about))
        elif kind == _NOTICE:
            await self._mails.notice(Notice(UUID(about), notice, data or {}))
        else:
            await self._mails.code(Purpose(kind), about)


class EventHandlers:
    """Listens to the topics that concern this service. What it is told of goes to `delivery`."""

    def __init__(self, delivery: DeliverNotices) -> None:
        self._delivery = delivery

    def subscribe(self, bus: EventBus) -> tuple[Callable[[], Awaitable[None]], ...]:
        """Return what is to run beside the server to listen."""
        return bus.subscribe(NOTIFY_USER, MAILER, self.notify_user), bus.subscribe(USER_PAID, NOTIFIER, self.user_paid)

    async def notify_user(self, event: Event) -> None:
        """Have a notice mailed. Raises ValueError for what is none."""
        said = message_of(event)
        assert isinstance(said, NotifyUser)  # noqa: S101 - by its topic
        await self._delivery.mail(event.event_id, Notice(UUID(said.user_id), said.kind, dict(said.data)))

    async def user_paid(self, event: Event) -> None:
        """Have a user told of a payment. Raises ValueError for what is none."""
        said = message_of(event)
        assert isinstance(said, UserPaid)  # noqa: S101 - by its topic
        await self._delivery.paid(event.event_id, UUID(said.user_id), said.amount, said.currency)
