"""Making the administrator that the settings name."""

from dataclasses import dataclass

from services.chassis import logs
from services.identity.errors import EmailTaken, StartRefused
from services.identity.operations.journal import Journal
from services.identity.operations.take_over_account import TakeOverAccount
from services.identity.ports.directory import UserDirectory
from services.identity.rules.users import (
    MIN_PASSWORD_CHARACTERS,
    ROLE_ADMIN,
    NewUser,
    User,
    is_sample_password,
    password_fault,
    username_of,
)

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class MakeAdmin:
    """Makes the administrator. `strict` outside of development: then a password that can be guessed is refused."""

    users: UserDirectory
    taking_over: TakeOverAccount
    journal: Journal
    strict: bool

    async def make(self, email: str, password: str, username: str) -> None:
        """Make the user, or give the role to the one who has the address; nothing without address and password.

        Who has the address keeps the password, unless nobody has verified the address yet: anybody may have
        registered it, so that user is disabled and the administrator is a new one.

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
        if await self._promoted(email, password, name):
            return
        try:
            async with self.journal.recording("user.register", roles=ROLE_ADMIN) as entry:
                made = await self.users.create(NewUser(email, name, password, roles=frozenset({ROLE_ADMIN})))
                entry.subject_id = str(made.user_id)
                await self.users.verify_email(made.user_id)
            _log.info("administrator made", username=name)
        except EmailTaken:
            # Another process that starts at the same moment was first.
            await self._promoted(email, password, name)

    def _check(self, email: str, password: str, username: str) -> None:
        fault = password_fault(password, email, username)
        if not fault and len(password) < MIN_PASSWORD_CHARACTERS:
            fault = f"must have at least {MIN_PASSWORD_CHARACTERS} characters"
        if fault and self.strict:
            raise StartRefused(cause=f"PARLEY_IDENTITY_ADMIN_PASSWORD {fault}: choose another outside of development")
        if fault:
            _log.warning("the administrator's password can be guessed", sample=is_sample_password(password))

    async def _promoted(self, email: str, password: str, name: str) -> bool:
        found = await self.users.by_email(email)
        if found is None:
            return False
        if not found.email_verified:
            await self._make_sure_of(found, NewUser(email, name, password, roles=frozenset({ROLE_ADMIN})))
        elif ROLE_ADMIN not in found.roles:
            async with self.journal.recording("role.grant", str(found.user_id), role=ROLE_ADMIN):
                await self.users.grant_role(found.user_id, ROLE_ADMIN)
        return True

    async def _make_sure_of(self, found: User, new: NewUser) -> None:
        if ROLE_ADMIN in found.roles:
            # Made by these settings before addresses counted, or promoted by another administrator.
            await self.users.verify_email(found.user_id)
            return
        async with self.journal.recording("user.take_over", str(found.user_id)) as entry:
            made, ended = await self.taking_over.take_over(found, new)
            entry.details["new_user"] = str(made.user_id)
        await self.taking_over.announce(ended)
