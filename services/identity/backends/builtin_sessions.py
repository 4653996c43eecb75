"""The sessions of the built-in directory: each sign-in begins a family of refresh tokens, of which one is live."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.chassis.identifiers import new_id
from services.identity.backends.builtin_tokens import BuiltinTokens
from services.identity.errors import InvalidCredentials, InvalidRefreshToken, RefreshTokenReused
from services.identity.ports.stores import PasswordHasher, Transaction, Transactions
from services.identity.ports.work import Clock
from services.identity.rules.identifiers import canonical_login
from services.identity.rules.sessions import Session, TokenPair, UserSession, Verdict, fingerprint, judge_refresh
from services.identity.rules.users import Credentials, composed

# Expired sessions are kept for a while, for whoever asks what happened.
_REMEMBERED = timedelta(days=2)
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class BuiltinSessions:
    """Implements the port SessionDirectory."""

    transactions: Transactions
    hasher: PasswordHasher
    tokens: BuiltinTokens
    clock: Clock

    async def sign_in(self, login: str, password: str, address: str = "") -> TokenPair:
        """See the port. An outdated password hash is made anew."""
        credentials = await self._find(canonical_login(login))
        given = composed(password)
        stored = None if credentials is None else credentials.password_hash
        matches = await self.hasher.matches(given, stored)
        if credentials is None or not matches or not credentials.user.is_active:
            raise InvalidCredentials
        better = await self.hasher.hash(given) if self.hasher.is_outdated(credentials.password_hash) else ""
        return await self._open(credentials, better, address)

    async def _find(self, login: str) -> Credentials | None:
        async with self.transactions.read() as transaction:
            if "@" in login:
                return await transaction.users.by_email(login)
            return await transaction.users.by_username(login)

    async def _open(self, credentials: Credentials, better_hash: str, address: str) -> TokenPair:
        user, now = credentials.user, self.clock()
        session_id = new_id()
        pair, token = self.tokens.issue(user, session_id, now)
        session = Session(session_id, user.user_id, now, token.expires_at, used_at=now, address=address)
        async with self.transactions.begin() as transaction:
            # The password may have been replaced while it was hashed, and the sessions ended.
            if not await transaction.users.hold_password_hash(user.user_id, credentials.password_hash):
                raise InvalidCredentials
            if better_hash:
                await transaction.users.replace_password_hash(user.user_id, credentials.password_hash, better_hash)
            await transaction.sessions.open(session, token)
        return pair

    async def refresh(self, refresh_token: str) -> TokenPair:
        """See the port."""
        now = self.clock()
        async with self.transactions.begin() as transaction:
            shown = await transaction.sessions.lock_shown(fingerprint(refresh_token))
            verdict = judge_refresh(shown, now)
            if shown is not None and verdict is Verdict.ROTATE:
                pair, successor = self.tokens.issue(shown.user, shown.session.session_id, now)
                await transaction.sessions.rotate(shown.token, now, successor)
                return pair
            if shown is not None and verdict is Verdict.REUSED:
                await transaction.sessions.end(shown.session.session_id, now)
        # What follows fails, so the end of the session is committed by now. A session that ended before is named
        # again: its first announcement may have failed.
        if shown is not None and verdict is Verdict.REUSED:
            raise RefreshTokenReused(str(shown.session.session_id), str(shown.user.user_id))
        ended = shown is not None and verdict is Verdict.ENDED
        raise InvalidRefreshToken(str(shown.session.session_id) if shown is not None and ended else "")

    async def of_user(self, user_id: UUID) -> list[UserSession]:
        """See the port."""
        async with self.transactions.read() as transaction:
            found = await transaction.sessions.of_user(user_id, self.clock(), _SHOWN)
        return [
            UserSession(str(one.session_id), one.created_at, one.used_at or one.created_at, one.expires_at, one.address)
            for one in found
        ]

    async def goes_on(self, user_id: UUID, session_id: str) -> bool:
        """See the port."""
        async with self.transactions.read() as transaction:
            return await _going(transaction, user_id, session_id) is not None

    async def end(self, user_id: UUID, session_id: str) -> bool:
        """See the port."""
        async with self.transactions.begin() as transaction:
            going = await _going(transaction, user_id, session_id)
            if going is not None:
                await transaction.sessions.end(going.session_id, self.clock())
        return going is not None

    async def end_all(self, user_id: UUID) -> list[str]:
        """See the port."""
        async with self.transactions.begin() as transaction:
            return [str(one) for one in await transaction.sessions.end_all(user_id, self.clock())]

    async def tidy(self) -> list[str]:
        """See the port."""
        now = self.clock()
        async with self.transactions.begin() as transaction:
            await transaction.sessions.forget_expired(now - _REMEMBERED)
            ended = await transaction.sessions.ended_since(now - self.tokens.access_lifetime)
        return [str(one) for one in ended]


async def _going(transaction: Transaction, user_id: UUID, session_id: str) -> Session | None:
    try:
        session = await transaction.sessions.get(UUID(session_id))
    except ValueError:
        return None
    return session if session is not None and session.user_id == user_id and session.ended_at is None else None
