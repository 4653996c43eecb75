"""Registering users."""

from dataclasses import dataclass

from services.chassis.errors import InvalidFields
from services.chassis.identifiers import new_id
from services.identity.ports import Clock, PasswordHasher, Transactions
from services.identity.rules import User, composed, new_user, password_fault


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Registers people."""

    transactions: Transactions
    hasher: PasswordHasher
    clock: Clock

    async def register(self, email: str, username: str, password: str, display_name: str) -> User:
        """Store a new user.

        Raises:
            InvalidFields: the password is one that anybody would try.
            EmailTaken, UsernameTaken: another user has it.
        """
        if fault := password_fault(password, email, username):
            raise InvalidFields([("password", fault)])
        user = new_user(new_id(), email, username, display_name, self.clock(), frozenset())
        # Outside of the transaction: no connection waits for a hash.
        password_hash = await self.hasher.hash(composed(password))
        async with self.transactions.begin() as transaction:
            await transaction.users.add(user, password_hash)
        return user
