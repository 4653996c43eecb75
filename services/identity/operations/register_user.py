"""Registering users."""

from dataclasses import dataclass

from services.chassis.errors import InvalidFields
from services.identity.ports.directory import UserDirectory
from services.identity.rules.users import NewUser, User, password_fault


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Registers people."""

    users: UserDirectory

    async def register(self, email: str, username: str, password: str, display_name: str) -> User:
        """Store a new user.

        Raises:
            InvalidFields: the password is one that anybody would try.
            EmailTaken, UsernameTaken: another user has it.
        """
        if fault := password_fault(password, email, username):
            raise InvalidFields([("password", fault)])
        return await self.users.create(NewUser(email, username, password, display_name))
