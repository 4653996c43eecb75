"""Signing in."""

from dataclasses import dataclass

from services.chassis.interceptors import client_address
from services.identity.operations.callers import account_of
from services.identity.operations.journal import Journal
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.ports.directory import Directory
from services.identity.rules.sessions import TokenPair


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
        user_id, account = await account_of(self.directory.users, login)
        await self.limits.of_account(account)
        async with self.journal.recording("user.login", str(user_id or "")) as entry:
            pair = await self.directory.sessions.sign_in(login, password, client_address.current())
            entry.actor_id = entry.subject_id = pair.user_id
            entry.details["session_id"] = pair.session_id
        await self.limits.passed(account)
        return pair
