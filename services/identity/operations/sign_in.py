"""Signing in."""

from dataclasses import dataclass

from services.chassis.interceptors import client_address
from services.identity.errors import InvalidCredentials
from services.identity.operations.journal import Journal
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.ports.directory import Directory
from services.identity.rules.sessions import TokenPair
from services.identity.rules.users import is_email


@dataclass(frozen=True, slots=True)
class SignIn:
    """Signs people in."""

    directory: Directory
    limits: LimitAttempts
    journal: Journal

    async def sign_in(self, login: str, password: str) -> TokenPair:
        """Open a session and return its first tokens.

        Raises:
            InvalidCredentials: no such user, a wrong password or a disabled user; all three take the same work.
            TooManyAttempts: for this account or from this address.
            AttemptsNotCounted: tries cannot be counted now.
        """
        await self.limits.of_address()
        await self.limits.of_account(login)
        async with self.journal.recording("user.login") as entry:
            try:
                pair = await self.directory.sessions.sign_in(login, password, client_address.current())
            except InvalidCredentials:
                entry.subject_id = await self._whose(login.strip())
                raise
            entry.actor_id = entry.subject_id = pair.user_id
            entry.details["session_id"] = pair.session_id
        await self.limits.passed(login)
        return pair

    async def _whose(self, login: str) -> str:
        users = self.directory.users
        user = await (users.by_email(login) if is_email(login) else users.by_username(login))
        return "" if user is None else str(user.user_id)
