"""Who people are. It has two backends: the built-in one, in PostgreSQL, and Keycloak."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from services.identity.rules.organizations import Organization
from services.identity.rules.sessions import TokenPair, UserSession
from services.identity.rules.users import NewUser, User, UserQuery

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list, and where the next part begins: the backend's own word, empty on the last page."""

    items: Sequence[Item]
    cursor: str = ""


class UserDirectory(Protocol):
    """Who may sign in. Addresses and usernames are unique in their canonical form (rules/identifiers.py)."""

    async def create(self, new: NewUser) -> User:
        """Make an active user, whose address is not verified, with the role `user` and those that are asked for.

        Raises:
            EmailTaken: another user has the address.
            UsernameTaken: another user has the username, or one that looks like it.
            InvalidFields: address or username cannot be kept, or the backend's policy refuses the field `password`.
        """

    async def find(self, login: str) -> UUID | None:
        """Return the id of the user with this address or username; the work is the same when there is none."""

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

    async def replace_unverified(self, user_id: UUID, new: NewUser) -> User:
        """Disable a user whose address nobody has verified, and make a new user with it, for whom it is verified.

        The old user has no address any more; the built-in directory frees the username, too. Sessions are not ended
        here.

        Raises:
            UserNotFound: there is no such user, or the address was verified meanwhile.
            UsernameTaken, InvalidFields: see `create`.
        """

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

    async def goes_on(self, user_id: UUID, session_id: str) -> bool:
        """Return whether the user has a session with this id that goes on."""

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
