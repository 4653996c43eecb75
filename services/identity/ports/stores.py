"""What the built-in directory is made of."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.identity.rules.sessions import RefreshToken, Session, ShownToken
from services.identity.rules.users import Credentials, User, UserQuery


class UserStore(Protocol):
    """Users, inside one transaction. Addresses and usernames are compared in their canonical form."""

    async def add(self, user: User, password_hash: str) -> None:
        """Store a new user. Raises EmailTaken or UsernameTaken, in a race too; roll back then.

        A username is taken by one that looks like it, too.
        """

    async def release(self, user_id: UUID, at: datetime) -> bool:
        """Disable a user whose address is not verified, and free address and username; False when there is none."""

    async def find(self, login: str) -> UUID | None:
        """Return the id of the user with this address or username."""

    async def get(self, user_id: UUID) -> User | None:
        """Return the user with this id."""

    async def by_email(self, email: str) -> Credentials | None:
        """Return the user with this address."""

    async def by_username(self, username: str) -> Credentials | None:
        """Return the user with this username."""

    async def credentials(self, user_id: UUID) -> Credentials | None:
        """Return the user with this id, with the hash of the password."""

    async def page(self, query: UserQuery, after: UUID | None, size: int) -> list[User]:
        """Return at most `size` users that the query chooses, in the order of their ids."""

    async def change(self, user_id: UUID, changes: Mapping[str, object], at: datetime) -> User | None:
        """Change fields of a user and return the changed user; None when there is no such user."""

    async def grant_role(self, user_id: UUID, role: str, at: datetime) -> User | None:
        """Give the user a role; nothing happens when the user has it."""

    async def revoke_role(self, user_id: UUID, role: str, at: datetime) -> User | None:
        """Take a role from the user; nothing happens when the user lacks it."""

    async def set_password_hash(self, user_id: UUID, password_hash: str, at: datetime) -> bool:
        """Store another hash; False when there is no such user."""

    async def hold_password_hash(self, user_id: UUID, password_hash: str) -> bool:
        """Return whether the user is active and has this hash; both stay so until the transaction ends."""

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

    async def end_all(self, user_id: UUID, at: datetime) -> list[UUID]:
        """End the sessions of a user that have not ended and return which ones."""

    async def of_user(self, user_id: UUID, now: datetime, size: int) -> list[Session]:
        """Return the sessions of a user that go on, the last begun first."""

    async def get(self, session_id: UUID) -> Session | None:
        """Return a session."""

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
        """Open a transaction; it commits when the block ends and rolls back when it raises.

        Inside of `Work.together` it is a part of that work.
        """

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """Read what is stored, outside of any transaction unless one of `Work.together` has begun."""


class PasswordHasher(Protocol):
    """Hashes passwords slowly, off the event loop."""

    async def hash(self, password: str) -> str:
        """Return a salted hash."""

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Return whether the hash is of the password. None takes as long as a wrong password does."""

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether a new hash of the same password would be better."""
