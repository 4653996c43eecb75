"""Writing and sending the mails that were asked for; a job calls it, again when it failed."""

import secrets
from dataclasses import dataclass
from uuid import UUID

from services.identity.ports.accounts import Codes, Invitations, Mailer
from services.identity.ports.directory import Directory
from services.identity.ports.work import Clock
from services.identity.rules.accounts import Mail, Purpose
from services.identity.rules.notices import Notice, words_of
from services.identity.rules.sessions import fingerprint

_TOKEN_BYTES = 32
_SUBJECTS = {
    Purpose.VERIFY_EMAIL: "Your code to verify your e-mail address",
    Purpose.RESET_PASSWORD: "Your code to set a new password",
}


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
        code = await self.codes.make(purpose, email)
        text = (
            f"Hello {user.display_name},\n\nyour code is {code}. It is good for ten minutes and one use.\n\n"
            "If you did not ask for it, you need not do anything.\n"
        )
        await self.mailer.send(Mail(user.email, _SUBJECTS[purpose], text))

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
        text = (
            f"Hello,\n\nyou are invited to join {organization.name}. Register or sign in with this e-mail address and "
            f"accept with this token:\n\n{token}\n\nIt is good until {invitation.expires_at:%d %B %Y}.\n"
        )
        await self.mailer.send(Mail(invitation.email, f"Invitation to {organization.name}", text))

    async def notice(self, notice: Notice) -> None:
        """Send a notice to its user, to a disabled one too; nothing when the user is gone or the kind has no words."""
        words = words_of(notice)
        user = await self.directory.users.get(notice.user_id) if words else None
        if words is None or user is None:
            return
        subject, text = words
        await self.mailer.send(Mail(user.email, subject, f"Hello {user.display_name},\n\n{text}\n"))
