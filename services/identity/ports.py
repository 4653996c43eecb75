"""What the operations need from outside."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.identity.rules import Credentials, RefreshToken, Session, ShownToken, SigningKey, User

Clock = Callable[[], datetime]
"""Returns the time now, with its zone."""


class UserStore(Protocol):
    """Users, inside one transaction. Addresses and usernames are compared without regard to case."""

    async def add(self, user: User, password_hash: str) -> None:
        """Store a new user. Raises EmailTaken or UsernameTaken, in a race too; roll back then."""

    async def get(self, user_id: UUID) -> User | None:
        """Return the user with this id."""

    async def by_email(self, email: str) -> Credentials | None:
        """Return the user with this address."""

    async def by_username(self, username: str) -> Credentials | None:
        """Return the user with this username."""

    async def change_profile(self, user_id: UUID, changes: Mapping[str, str], at: datetime) -> User | None:
        """Change fields of PROFILE_DEFAULTS and return the changed user; None when there is no such user."""

    async def grant_role(self, user_id: UUID, role: str, at: datetime) -> None:
        """Give the user a role; nothing happens when the user has it."""

    async def replace_password_hash(self, user_id: UUID, old: str, new: str) -> bool:
        """Replace the hash `old`; False, having changed nothing, when the user has another one by now."""


class SessionStore(Protocol):
    """Sessions and their refresh tokens, inside one transaction."""

    async def open(self, session: Session, token: RefreshToken) -> None:
        """Store a new session with its first refresh token."""

    async def lock_shown(self, token_hash: bytes) -> ShownToken | None:
        """Return what is known of a token, and keep others from changing its session until the transaction ends."""

    async def rotate(self, spent: RefreshToken, at: datetime, successor: RefreshToken) -> None:
        """Mark a token of the session as spent and store the one that takes its place."""

    async def end(self, session_id: UUID, at: datetime) -> None:
        """End a session; one that has ended keeps its time."""

    async def ended_since(self, moment: datetime) -> list[UUID]:
        """Return the sessions that ended at `moment` or later."""

    async def forget_expired(self, before: datetime) -> None:
        """Delete the refresh tokens and the sessions that expired before `before`."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction gives access to."""

    users: UserStore
    sessions: SessionStore


class Transactions(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction; it commits when the block ends and rolls back when it raises."""


class PasswordHasher(Protocol):
    """Hashes passwords slowly, off the event loop."""

    async def hash(self, password: str) -> str:
        """Return a salted hash."""

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Return whether the hash is of the password. None takes as long as a wrong password does."""

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether a new hash of the same password would be better."""


class EndedSessions(Protocol):
    """Tells every service that sessions have ended, so that their access tokens are refused at once."""

    async def announce(self, session_id: str) -> None:
        """Announce one. Raises SessionCheckUnavailable when that cannot be done; doing it again does no harm."""


class KeyStore(Protocol):
    """Where the signing keys are kept. Several processes may share it."""

    async def load(self) -> list[SigningKey]:
        """Return all keys."""

    async def add(self, key: SigningKey) -> bool:
        """Keep a key; False, having kept nothing, when another process was first to add one with its number."""

    async def remove(self, keys: Sequence[SigningKey]) -> None:
        """Remove keys; those that are gone already do no harm."""


class TokenSigner(Protocol):
    """Makes key pairs and signs with them."""

    async def make_key(self) -> tuple[str, str]:
        """Return a new key pair: its id and its private key as PEM."""

    def sign(self, claims: Mapping[str, object], key: SigningKey) -> str:
        """Return a JWT."""

    def public_jwk(self, key: SigningKey) -> dict[str, str]:
        """Return the public key as a JSON Web Key."""
