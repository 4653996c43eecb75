"""Registering users."""

from dataclasses import dataclass

from services.chassis.errors import InvalidFields
from services.identity.operations.journal import Journal
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.ports.accounts import MailQueue
from services.identity.ports.directory import UserDirectory
from services.identity.rules.accounts import Purpose
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

        Raises:
            InvalidFields: the password is one that anybody would try.
            EmailTaken, UsernameTaken: another user has it.
            TooManyAttempts: from this address.
            AttemptsNotCounted: tries cannot be counted now.
        """
        await self.limits.of_address()
        if fault := password_fault(password, email, username):
            raise InvalidFields([("password", fault)])
        # The address may be anybody's: nobody has shown to read it.
        await self.limits.of_mails_asked_for()
        async with self.journal.recording("user.register") as entry:
            user = await self.users.create(NewUser(email, username, password, display_name))
            entry.actor_id = entry.subject_id = str(user.user_id)
            await self.mails.code(Purpose.VERIFY_EMAIL, user.email)
        return user
