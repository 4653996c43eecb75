"""Verifying e-mail addresses."""

from dataclasses import dataclass

from services.identity.errors import InvalidCode
from services.identity.operations.callers import account_of
from services.identity.operations.journal import Journal
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.ports.accounts import Codes, MailQueue
from services.identity.ports.directory import UserDirectory
from services.identity.rules.accounts import Purpose
from services.identity.rules.identifiers import canonical_login


@dataclass(frozen=True, slots=True)
class VerifyEmail:
    """Verifies e-mail addresses. All of it raises TooManyAttempts and AttemptsNotCounted."""

    users: UserDirectory
    codes: Codes
    mails: MailQueue
    limits: LimitAttempts
    journal: Journal

    async def verify(self, email: str, code: str) -> None:
        """Mark the address as verified.

        Raises:
            InvalidCode: the code is wrong, used, expired or was tried too often, or nobody has the address.
        """
        await self.limits.of_address()
        async with self.journal.recording("email.verify") as entry:
            user_id, account = await account_of(self.users, email)
            # A code is asked for whether anybody has the address or not: both take the same work.
            if not await self.codes.take(Purpose.VERIFY_EMAIL, account, code) or user_id is None:
                raise InvalidCode
            if await self.users.verify_email(user_id) is None:
                raise InvalidCode
            entry.actor_id = entry.subject_id = str(user_id)

    async def resend(self, email: str) -> None:
        """Have another code sent. Whether anybody has the address, is asked after the answer: nobody can time it."""
        await self.limits.of_address()
        await self.limits.of_mails_asked_for()
        await self.limits.of_mails(email)
        form = canonical_login(email)
        async with self.journal.recording("email.resend", email=form):
            await self.mails.code(Purpose.VERIFY_EMAIL, form)
