"""Making the administrator that the settings name."""

from dataclasses import dataclass

from services.chassis import logs
from services.chassis.identifiers import new_id
from services.identity.errors import EmailTaken, StartRefused
from services.identity.ports import Clock, PasswordHasher, Transactions
from services.identity.rules import (
    MIN_PASSWORD_CHARACTERS,
    ROLE_ADMIN,
    composed,
    is_sample_password,
    new_user,
    password_fault,
    username_of,
)

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class MakeAdmin:
    """Makes the administrator. `strict` outside of development: then a password that can be guessed is refused."""

    transactions: Transactions
    hasher: PasswordHasher
    clock: Clock
    strict: bool

    async def make(self, email: str, password: str, username: str) -> None:
        """Make the user, or give the role to the one who has the address; nothing without address and password.

        Raises:
            StartRefused: one of the two is missing, or the password can be guessed.
            UsernameTaken: somebody else has the username.
        """
        if not email and not password:
            return
        if not email or not password:
            raise StartRefused(cause="PARLEY_IDENTITY_ADMIN_EMAIL and _ADMIN_PASSWORD must be set both or neither")
        name = username or username_of(email)
        self._check(email, password, name)
        if await self._promoted(email):
            return
        admin = new_user(new_id(), email, name, "", self.clock(), frozenset({ROLE_ADMIN}))
        password_hash = await self.hasher.hash(composed(password))
        try:
            async with self.transactions.begin() as transaction:
                await transaction.users.add(admin, password_hash)
            _log.info("administrator made", username=name)
        except EmailTaken:
            # Another process that starts at the same moment was first.
            await self._promoted(email)

    def _check(self, email: str, password: str, username: str) -> None:
        fault = password_fault(password, email, username)
        if not fault and len(password) < MIN_PASSWORD_CHARACTERS:
            fault = f"must have at least {MIN_PASSWORD_CHARACTERS} characters"
        if fault and self.strict:
            raise StartRefused(cause=f"PARLEY_IDENTITY_ADMIN_PASSWORD {fault}: choose another outside of development")
        if fault:
            _log.warning("the administrator's password can be guessed", sample=is_sample_password(password))

    async def _promoted(self, email: str) -> bool:
        async with self.transactions.begin() as transaction:
            found = await transaction.users.by_email(email)
            if found is None:
                return False
            await transaction.users.grant_role(found.user.user_id, ROLE_ADMIN, self.clock())
        return True
