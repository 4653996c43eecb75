"""Dealing with events: a notice becomes a mail, a payment becomes a notice; once each, however often they come."""

from dataclasses import dataclass
from uuid import UUID

from services.identity.ports.accounts import HandledEvents, MailQueue, Notices
from services.identity.ports.work import Work
from services.identity.rules.notices import PAYMENT_RECEIVED, Notice, words_of

MAILER = "mailer"
NOTIFIER = "notifier"


@dataclass(frozen=True, slots=True)
class DeliverNotices:
    """Notes each event in the transaction of its effect, which is a mail or a notice to be sent: it happens once."""

    work: Work
    handled: HandledEvents
    mails: MailQueue
    notices: Notices

    async def mail(self, event_id: UUID, notice: Notice) -> None:
        """Have a notice mailed; nothing for a kind without words, which another service may know."""
        if words_of(notice) is None:
            return
        async with self.work.together():
            if await self.handled.is_first(MAILER, event_id):
                await self.mails.notice(notice)

    async def paid(self, event_id: UUID, user_id: UUID, amount: int, currency: str) -> None:
        """Have a user told that a payment has arrived; `amount` is in the smallest unit of the currency."""
        data = {"amount": str(amount), "currency": currency}
        async with self.work.together():
            if await self.handled.is_first(NOTIFIER, event_id):
                await self.notices.tell(Notice(user_id, PAYMENT_RECEIVED, data))
