"""The background work of this service."""

from uuid import UUID

import dramatiq

from services.identity.operations.send_mails import SendMails
from services.identity.rules.accounts import MAIL_QUEUE, Purpose

# A mail server may be away for hours: with pauses of 0.5 s, 1 s … 10 minutes that is most of a day.
_MAX_RETRIES = 120
_MAX_BACKOFF_MS = 10 * 60 * 1000
_INVITATION = "invitation"


class MailJobs:
    """Sends what waits in the queue of mails. A job holds no code and no token: those are made when it is sent."""

    def __init__(self, mails: SendMails) -> None:
        self._mails = mails

    def register(self, broker: dramatiq.Broker) -> None:
        """Declare this service's actors on a worker's broker."""

        async def identity_mail(kind: str, about: str) -> None:
            await self.send(kind, about)

        dramatiq.actor(
            actor_name=MAIL_QUEUE,
            queue_name=MAIL_QUEUE,
            broker=broker,
            max_retries=_MAX_RETRIES,
            max_backoff=_MAX_BACKOFF_MS,
        )(identity_mail)

    async def send(self, kind: str, about: str) -> None:
        """Write and send one mail: `kind` is a Purpose or `invitation`, `about` an address or an invitation's id."""
        if kind == _INVITATION:
            await self._mails.invitation(UUID(about))
        else:
            await self._mails.code(Purpose(kind), about)
