"""The ports of identity in memory. tests/acceptance/identity holds the stores to the same suites as PostgreSQL's."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.chassis.errors import SessionCheckUnavailable
from services.identity.errors import EmailTaken, UsernameTaken
from services.identity.ports.accounts import Limit
from services.identity.ports.sessions import Claim
from services.identity.ports.stores import Transaction
from services.identity.rules.accounts import ApiKey, AuditEvent, AuditQuery, Purpose
from services.identity.rules.identifiers import canonical_login, username_skeleton
from services.identity.rules.notices import Notice
from services.identity.rules.sessions import RefreshToken, Session, ShownToken, TokenPair
from services.identity.rules.signing_keys import SigningKey
from services.identity.rules.users import Credentials, User, UserQuery

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class _State:
    users: dict[UUID, Credentials] = field(default_factory=dict)
    sessions: dict[UUID, Session] = field(default_factory=dict)
    tokens: dict[bytes, RefreshToken] = field(default_factory=dict)


class MemoryTransactions:
    """One transaction at a time; one that raises leaves no trace."""

    def __init__(self) -> None:
        self.state = _State()
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with self._lock:
            before = copy.copy(self.state)
            before.users, before.sessions = dict(self.state.users), dict(self.state.sessions)
            before.tokens = dict(self.state.tokens)
            try:
                yield Transaction(MemoryUserStore(self.state), MemorySessionStore(self.state))
            except BaseException:
                self.state = before
                raise

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        return self.begin()

    def change_user(self, user_id: UUID, **changes: object) -> None:
        """Do what no operation does yet, such as disabling a user."""
        old = self.state.users[user_id]
        self.state.users[user_id] = replace(old, user=replace(old.user, **changes))  # type: ignore[arg-type]


class MemoryUserStore:
    def __init__(self, state: _State) -> None:
        self._users = state.users

    async def add(self, user: User, password_hash: str) -> None:
        if await self.by_email(user.email):
            raise EmailTaken(email=user.email)
        looks = {username_skeleton(one.user.username) for one in self._users.values()}
        if await self.by_username(user.username) or username_skeleton(user.username) in looks:
            raise UsernameTaken(username=user.username)
        self._users[user.user_id] = Credentials(user, password_hash)

    async def release(self, user_id: UUID, at: datetime) -> bool:
        found = self._users.get(user_id)
        if found is None or not found.user.is_active or found.user.email_verified:
            return False
        user = replace(found.user, email="", username=f"replaced {user_id}", is_active=False, updated_at=at)
        self._users[user_id] = replace(found, user=user)
        return True

    async def get(self, user_id: UUID) -> User | None:
        found = self._users.get(user_id)
        return None if found is None else found.user

    async def find(self, login: str) -> UUID | None:
        found = await self.by_email(login) or await self.by_username(login)
        return None if found is None else found.user.user_id

    async def by_email(self, email: str) -> Credentials | None:
        form = canonical_login(email)
        return next((one for one in self._users.values() if canonical_login(one.user.email) == form), None)

    async def by_username(self, username: str) -> Credentials | None:
        form = canonical_login(username)
        return next((one for one in self._users.values() if canonical_login(one.user.username) == form), None)

    async def credentials(self, user_id: UUID) -> Credentials | None:
        return self._users.get(user_id)

    async def page(self, query: UserQuery, after: UUID | None, size: int) -> list[User]:
        users = sorted((one.user for one in self._users.values()), key=lambda user: user.user_id)
        return [user for user in users if _chosen(user, query) and (after is None or user.user_id > after)][:size]

    async def change(self, user_id: UUID, changes: Mapping[str, object], at: datetime) -> User | None:
        return self._save(user_id, updated_at=at, **changes)

    async def grant_role(self, user_id: UUID, role: str, at: datetime) -> User | None:
        user = await self.get(user_id)
        if user is None or role in user.roles:
            return user
        return self._save(user_id, roles=user.roles | {role}, updated_at=at)

    async def revoke_role(self, user_id: UUID, role: str, at: datetime) -> User | None:
        user = await self.get(user_id)
        if user is None or role not in user.roles:
            return user
        return self._save(user_id, roles=user.roles - {role}, updated_at=at)

    async def set_password_hash(self, user_id: UUID, password_hash: str, at: datetime) -> bool:
        found = self._users.get(user_id)
        if found is None:
            return False
        self._users[user_id] = replace(found, password_hash=password_hash)
        return self._save(user_id, updated_at=at) is not None

    async def hold_password_hash(self, user_id: UUID, password_hash: str) -> bool:
        found = self._users.get(user_id)
        return found is not None and found.user.is_active and found.password_hash == password_hash

    async def replace_password_hash(self, user_id: UUID, old: str, new: str) -> bool:
        found = self._users.get(user_id)
        if found is None or found.password_hash != old:
            return False
        self._users[user_id] = replace(found, password_hash=new)
        return True

    def _save(self, user_id: UUID, **changes: object) -> User | None:
        found = self._users.get(user_id)
        if found is None:
            return None
        user = replace(found.user, **changes)  # type: ignore[arg-type]
        self._users[user_id] = replace(found, user=user)
        return user


class MemorySessionStore:
    def __init__(self, state: _State) -> None:
        self._state = state

    async def open(self, session: Session, token: RefreshToken) -> None:
        self._state.sessions[session.session_id] = session
        self._state.tokens[token.token_hash] = token

    async def lock_shown(self, token_hash: bytes) -> ShownToken | None:
        token = self._state.tokens.get(token_hash)
        if token is None:
            return None
        session = self._state.sessions[token.session_id]
        return ShownToken(token, session, self._state.users[session.user_id].user)

    async def rotate(self, spent: RefreshToken, at: datetime, successor: RefreshToken) -> None:
        session = self._state.sessions[spent.session_id]
        self._state.tokens[spent.token_hash] = replace(spent, spent_at=at)
        self._state.tokens[successor.token_hash] = successor
        self._state.sessions[session.session_id] = replace(session, expires_at=successor.expires_at, used_at=at)

    async def end(self, session_id: UUID, at: datetime) -> None:
        session = self._state.sessions.get(session_id)
        if session is not None and session.ended_at is None:
            self._state.sessions[session_id] = replace(session, ended_at=at)

    async def end_all(self, user_id: UUID, at: datetime) -> list[UUID]:
        going = [one.session_id for one in self._state.sessions.values() if one.user_id == user_id and not one.ended_at]
        for session_id in going:
            await self.end(session_id, at)
        return going

    async def of_user(self, user_id: UUID, now: datetime, size: int) -> list[Session]:
        mine = [one for one in self._state.sessions.values() if one.user_id == user_id]
        going = [one for one in mine if one.ended_at is None and one.expires_at > now]
        return sorted(going, key=lambda one: one.session_id, reverse=True)[:size]

    async def get(self, session_id: UUID) -> Session | None:
        return self._state.sessions.get(session_id)

    async def ended_since(self, moment: datetime) -> list[UUID]:
        sessions = self._state.sessions.values()
        return [one.session_id for one in sessions if one.ended_at is not None and one.ended_at >= moment]

    async def forget_expired(self, before: datetime) -> None:
        state = self._state
        for session in [one for one in state.sessions.values() if one.expires_at < before]:
            del state.sessions[session.session_id]
        for token in [one for one in state.tokens.values() if one.expires_at < before]:
            del state.tokens[token.token_hash]


def _chosen(user: User, query: UserQuery) -> bool:
    texts = (user.email, user.username, user.display_name)
    return (
        any(query.text.lower() in text.lower() for text in texts)
        and (not query.role or query.role in user.roles)
        and query.is_active in (None, user.is_active)
    )


class PlainPasswordHasher:
    """Hashes nothing, and counts its work."""

    def __init__(self) -> None:
        self.checks: list[str | None] = []

    async def hash(self, password: str) -> str:
        return f"new:{password}"

    async def matches(self, password: str, password_hash: str | None) -> bool:
        self.checks.append(password_hash)
        return password_hash is not None and password_hash.partition(":")[2] == password

    def is_outdated(self, password_hash: str) -> bool:
        return password_hash.startswith("old:")


class FakeEndedSessions:
    """Remembers what was announced; `away` makes it fail."""

    def __init__(self) -> None:
        self.announced: list[str] = []
        self.away = False

    async def announce(self, session_id: str) -> None:
        if self.away:
            raise SessionCheckUnavailable
        self.announced.append(session_id)

    async def contains(self, session_id: str) -> bool:
        return session_id in self.announced


class MemoryRefreshAnswers:
    """Keeps what `keeping` tells it to keep, for ever; at first nothing, as when there is no grace."""

    def __init__(self) -> None:
        self.keeping = False
        self._kept: dict[tuple[str, str], TokenPair] = {}

    async def claim(self, token: str, client: str) -> Claim:
        return Claim(self._kept.get((token, client)), is_first=self.keeping)

    async def keep(self, token: str, client: str, pair: TokenPair) -> None:
        self._kept[token, client] = pair

    async def forget(self, token: str) -> None:
        pass


class MemoryKeyStore:
    def __init__(self) -> None:
        self.keys: dict[int, SigningKey] = {}

    async def load(self) -> list[SigningKey]:
        return list(self.keys.values())

    async def add(self, key: SigningKey) -> bool:
        return self.keys.setdefault(key.number, key) is key

    async def remove(self, keys: Sequence[SigningKey]) -> None:
        for key in keys:
            self.keys.pop(key.number, None)


class NamingSigner:
    """A token that says which key signed it and what it claims."""

    def __init__(self) -> None:
        self._made = 0
        self.claims: dict[str, Mapping[str, object]] = {}

    async def make_key(self) -> tuple[str, str]:
        self._made += 1
        return f"key-{id(self):x}-{self._made}", "pem"

    def sign(self, claims: Mapping[str, object], key: SigningKey) -> str:
        token = f"{key.key_id}|{claims['jti']}"
        self.claims[token] = claims
        return token

    def public_jwk(self, key: SigningKey) -> dict[str, str]:
        return {"kid": key.key_id}


class MemoryWork:
    """Holds nothing together: the stores in memory undo their own transactions."""

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        yield

    async def alone(self, name: str) -> None:
        pass


class MemoryAuditLog:
    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    async def add(self, event: AuditEvent) -> None:
        self.events.append(event)

    async def page(self, query: AuditQuery, before: UUID | None, size: int) -> list[AuditEvent]:
        return self.events[:size]


class MemoryMailQueue:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def code(self, purpose: Purpose, email: str) -> None:
        self.asked.append((purpose.value, email))

    async def invitation(self, invitation_id: UUID) -> None:
        self.asked.append(("invitation", str(invitation_id)))

    async def notice(self, notice: Notice) -> None:
        self.asked.append((notice.kind, str(notice.user_id)))


class NoApiKeys:
    """Nobody has a key: those are in PostgreSQL, and tested there."""

    async def revoke_all(self, user_id: UUID, at: datetime) -> list[UUID]:
        return []

    async def page(self, user_id: UUID, before: UUID | None, size: int, now: datetime) -> list[ApiKey]:
        return []


class MemoryAttempts:
    """Counts for ever: the tests of windows ask Valkey."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    async def add(self, bucket: str, limit: Limit) -> float:
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        return 0.0 if self.counts[bucket] <= limit.count else float(limit.seconds)

    async def forget(self, bucket: str) -> None:
        self.counts.pop(bucket, None)
