"""Signing in."""

from dataclasses import dataclass

from services.chassis.identifiers import new_id
from services.identity.errors import InvalidCredentials
from services.identity.operations.issue_tokens import IssueTokens, TokenPair
from services.identity.ports import Clock, PasswordHasher, Transactions
from services.identity.rules import Credentials, Session, composed, is_email


@dataclass(frozen=True, slots=True)
class SignIn:
    """Signs people in."""

    transactions: Transactions
    hasher: PasswordHasher
    tokens: IssueTokens
    clock: Clock

    async def sign_in(self, login: str, password: str) -> TokenPair:
        """Open a session and return its first tokens; an outdated password hash is made anew.

        Raises:
            InvalidCredentials: no such user, a wrong password or a disabled user; all three take the same work.
        """
        credentials = await self._find(login.strip())
        given = composed(password)
        stored = None if credentials is None else credentials.password_hash
        matches = await self.hasher.matches(given, stored)
        if credentials is None or not matches or not credentials.user.is_active:
            raise InvalidCredentials
        better = await self.hasher.hash(given) if self.hasher.is_outdated(credentials.password_hash) else ""
        return await self._open(credentials, better)

    async def _find(self, login: str) -> Credentials | None:
        async with self.transactions.begin() as transaction:
            if is_email(login):
                return await transaction.users.by_email(login)
            return await transaction.users.by_username(login)

    async def _open(self, credentials: Credentials, better_hash: str) -> TokenPair:
        user, now = credentials.user, self.clock()
        session_id = new_id()
        pair, token = self.tokens.issue(user, session_id, now)
        async with self.transactions.begin() as transaction:
            if better_hash:
                await transaction.users.replace_password_hash(user.user_id, credentials.password_hash, better_hash)
            await transaction.sessions.open(Session(session_id, user.user_id, now, token.expires_at), token)
        return pair
