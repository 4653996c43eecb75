"""Writing and sending the mails that were asked for; a job calls it, again when it failed."""

import secrets
from dataclasses import dataclass
from uuid import UUID

from services.chassis import logs
from services.chassis.errors import InvalidFields
from services.identity.ports.accounts import Codes, Invitations, Mailer
from services.identity.ports.directory import Directory
from services.identity.ports.work import Clock
from services.identity.rules.accounts import Mail, Purpose
from services.identity.rules.identifiers import deliverable_email
from services.identity.rules.mails import code_mail, invitation_mail, notice_mail
from services.identity.rules.notices import Notice, words_of
from services.identity.rules.sessions import fingerprint

_log = logs.get(__name__)
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class SendMails:
    """Writes mails. A code or token is made here, so that nothing that waits in a queue holds one."""

    directory: Directory
    codes: Codes
    invitations: Invitations
    mailer: Mailer
    clock: Clock

    async def code(self, purpose: Purpose, email: str) -> None:
        """Send a code to who has the address, when there is somebody and the code would be of use."""
        user = await self.directory.users.by_email(email)
        if user is None or not user.is_active or (purpose is Purpose.VERIFY_EMAIL and user.email_verified):
            return
        code = await self.codes.make(purpose, str(user.user_id))
        await self._send(code_mail(user.email, purpose, code, "" if user.email_verified else user.username))

    async def invitation(self, invitation_id: UUID) -> None:
        """Send an invitation that is still open. Sending it again makes the token of the mail before useless."""
        invitation = await self.invitations.get(invitation_id, self.clock())
        if invitation is None:
            return
        organization = await self.directory.organizations.get(invitation.organization_id)
        if organization is None:
            return
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        await self.invitations.set_token(invitation_id, fingerprint(token))
        await self._send(invitation_mail(invitation.email, organization.name, token, invitation.expires_at))

    async def notice(self, notice: Notice) -> None:
        """Send a notice to its user, to a disabled one too; nothing when the user is gone or the kind has no words."""
        words = words_of(notice)
        user = await self.directory.users.get(notice.user_id) if words else None
        if words is None or user is None:
            return
        await self._send(notice_mail(user.email, *words))

    async def _send(self, mail: Mail) -> None:
        try:
            deliverable_email(mail.to)
        except InvalidFields:
            # Kept from the time before addresses had a strict grammar; trying again would not help.
            _log.warning("mail not sent: its address is none", subject=mail.subject)
            return
        await self.mailer.send(mail)
