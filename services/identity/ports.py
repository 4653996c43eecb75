"""What the operations need from outside.

`Directory` is who people are, and has two backends: the built-in one, which keeps users, sessions and organisations in
PostgreSQL, and Keycloak. What stands below it serves the built-in one or both.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from services.identity.rules import (
    Credentials,
    NewUser,
    Organization,
    RefreshToken,
    Session,
    ShownToken,
    SigningKey,
    TokenPair,
    User,
    UserQuery,
    UserSession,
)

Clock = Callable[[], datetime]
"""Returns the time now, with its zone."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list, and where the next part begins: the backend's own word, empty on the last page."""

    items: Sequence[Item]
    cursor: str = ""


class UserDirectory(Protocol):
    """Who may sign in. Addresses and usernames are unique and compared without regard to case."""

    async def create(self, new: NewUser) -> User:
        """Make an active user, whose address is not verified, with the role `user` and those that are asked for.

        Raises:
            EmailTaken, UsernameTaken: another user has it.
            InvalidFields: the backend's policy refuses the field `password`.
        """

    async def get(self, user_id: UUID) -> User | None:
        """Return the user with this id."""

    async def by_email(self, email: str) -> User | None:
        """Return the user with this address."""

    async def by_username(self, username: str) -> User | None:
        """Return the user with this username."""

    async def page(self, query: UserQuery, cursor: str, size: int) -> Page[User]:
        """Return at most `size` users that the query chooses; `cursor` is empty or of the page before."""

    async def change_profile(self, user_id: UUID, changes: Mapping[str, str]) -> User | None:
        """Change fields of PROFILE_DEFAULTS and return the changed user; None when there is no such user."""

    async def password_matches(self, user_id: UUID, password: str) -> bool:
        """Return whether it is the user's password. No session begins. False for nobody, after the same work."""

    async def set_password(self, user_id: UUID, password: str) -> None:
        """Replace the password; sessions go on.

        Raises:
            UserNotFound: no such user.
            InvalidFields: the backend's policy refuses the field `password`.
        """

    async def verify_email(self, user_id: UUID) -> User | None:
        """Mark the user's address as verified and return the user; None when there is no such user."""

    async def set_active(self, user_id: UUID, *, is_active: bool) -> User | None:
        """Enable or disable: a disabled user neither signs in nor refreshes. None when there is no such user.

        Sessions are not ended here.
        """

    async def grant_role(self, user_id: UUID, role: str) -> User | None:
        """Give a role, which the next tokens show; nothing happens when the user has it. None when there is no user."""

    async def revoke_role(self, user_id: UUID, role: str) -> User | None:
        """Take a role, which the next tokens lack; nothing happens when it is not there. None when there is no user."""


class SessionDirectory(Protocol):
    """Sessions: what a sign-in began. Their ids are the `sid` of their access tokens.

    The directory itself does not tell other services that a session has ended: see EndedSessions.
    """

    async def sign_in(self, login: str, password: str, address: str = "") -> TokenPair:
        """Open a session. `login` is an e-mail address or a username, `address` the client's network address.

        Raises:
            InvalidCredentials: no such user, a wrong password or a disabled user; all three take the same work.
        """

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Spend a refresh token and return the next pair, with the roles and the organisation of now.

        Raises:
            RefreshTokenReused: the token was spent before, so its session has ended; the error names it.
            InvalidRefreshToken: the token is unknown, expired, of an ended session or of a disabled user; the error
                names the session when it has ended.
        """

    async def of_user(self, user_id: UUID) -> list[UserSession]:
        """Return the sessions of a user that go on, the last begun first; at most a hundred."""

    async def end(self, user_id: UUID, session_id: str) -> bool:
        """End a session; False when the user has none with this id that goes on."""

    async def end_all(self, user_id: UUID) -> list[str]:
        """End all sessions of a user and return which ones."""

    async def tidy(self) -> list[str]:
        """Forget what expired long ago; return sessions that ended while an access token of theirs may be good.

        They are announced again and again, because what announces them may have been away.
        """


class OrganizationDirectory(Protocol):
    """Organisations and their members. A user is a member of one at most; it stands in the user and in the tokens."""

    async def create(self, name: str, description: str) -> Organization:
        """Make an organisation without members. Raises OrganizationNameTaken."""

    async def get(self, organization_id: UUID) -> Organization | None:
        """Return one."""

    async def page(self, text: str, cursor: str, size: int) -> Page[Organization]:
        """Return at most `size` organisations whose name holds `text`; `cursor` is empty or of the page before."""

    async def change(self, organization_id: UUID, changes: Mapping[str, str]) -> Organization | None:
        """Change `name` or `description`. None when there is no such one. Raises OrganizationNameTaken."""

    async def delete(self, organization_id: UUID) -> bool:
        """Delete an organisation; its members stay users. False when there is no such one."""

    async def add_member(self, organization_id: UUID, user_id: UUID) -> None:
        """Make a user a member; nothing happens when the user is one of this organisation.

        Raises:
            OrganizationNotFound, UserNotFound: there is no such one.
            AlreadyMember: the user is a member of another one.
        """

    async def remove_member(self, organization_id: UUID, user_id: UUID) -> bool:
        """Take a member out; False when the user is none."""

    async def members(self, organization_id: UUID, cursor: str, size: int) -> Page[User]:
        """Return at most `size` members; `cursor` is empty or of the page before. No page of nobody's organisation."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Who people are. Both backends are held to tests/acceptance/identity/test_directory_*.py."""

    users: UserDirectory
    sessions: SessionDirectory
    organizations: OrganizationDirectory


class Work(Protocol):
    """Holds changes together."""

    def together(self) -> AbstractAsyncContextManager[None]:
        """What is ours and changes inside of the block is stored when it ends, and forgotten when it raises.

        A change in a directory that is not ours has happened at once.
        """


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
        """Read what is stored, outside of any transaction."""


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


SignClaims = Callable[[Mapping[str, object]], str]
"""Returns a JWT with the claims, signed with the key whose turn it is."""


class TokenSigner(Protocol):
    """Makes key pairs and signs with them."""

    async def make_key(self) -> tuple[str, str]:
        """Return a new key pair: its id and its private key as PEM."""

    def sign(self, claims: Mapping[str, object], key: SigningKey) -> str:
        """Return a JWT."""

    def public_jwk(self, key: SigningKey) -> dict[str, str]:
        """Return the public key as a JSON Web Key."""
