"""Registering users."""

import contextlib
from dataclasses import dataclass

from services.chassis.errors import InvalidFields
from services.identity.errors import EmailTaken, TooManyAttempts
from services.identity.operations.journal import Journal
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.ports.accounts import MailQueue
from services.identity.ports.directory import UserDirectory
from services.identity.rules.accounts import Purpose
from services.identity.rules.identifiers import canonical_email, canonical_username
from services.identity.rules.users import NewUser, User, password_fault


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Registers people."""

    users: UserDirectory
    mails: MailQueue
    limits: LimitAttempts
    journal: Journal

    async def register(self, email: str, username: str, password: str, display_name: str) -> User:
        """Store a new user and have a code sent to the address.

        When somebody has the address but has not proven it, a code goes there that takes the account over.

        Raises:
            InvalidFields: the password is one that anybody would try, or address or username cannot be kept.
            EmailTaken, UsernameTaken: see the port UserDirectory.
            TooManyAttempts: from this address.
            AttemptsNotCounted: tries cannot be counted now.
        """
        await self.limits.of_address()
        # Before the password is looked at: what cannot be kept is told by its field.
        canonical_email(email), canonical_username(username)
        if fault := password_fault(password, email, username):
            raise InvalidFields([("password", fault)])
        # The address may be anybody's: nobody has shown to read it.
        await self.limits.of_mails_asked_for()
        try:
            return await self._register(NewUser(email, username, password, display_name))
        except EmailTaken:
            await self._offer_to_take_over(email)
            raise

    async def _register(self, new: NewUser) -> User:
        async with self.journal.recording("user.register") as entry:
            user = await self.users.create(new)
            entry.actor_id = entry.subject_id = str(user.user_id)
            await self.mails.code(Purpose.VERIFY_EMAIL, canonical_email(user.email))
        return user

    async def _offer_to_take_over(self, email: str) -> None:
        """Send a code for a new password, unless the address is proven: who registered it may be somebody else."""
        holder = await self.users.by_email(email)
        if holder is None or holder.email_verified:
            return
        with contextlib.suppress(TooManyAttempts):
            await self.limits.of_mails(email)
            await self.mails.code(Purpose.RESET_PASSWORD, canonical_email(email))
