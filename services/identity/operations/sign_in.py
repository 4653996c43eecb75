"""Signing in."""

from dataclasses import dataclass

from services.identity.ports.directory import SessionDirectory
from services.identity.rules.sessions import TokenPair


@dataclass(frozen=True, slots=True)
class SignIn:
    """Signs people in."""

    sessions: SessionDirectory

    async def sign_in(self, login: str, password: str) -> TokenPair:
        """Open a session and return its first tokens.

        Raises:
            InvalidCredentials: no such user, a wrong password or a disabled user; all three take the same work.
        """
        return await self.sessions.sign_in(login, password)
