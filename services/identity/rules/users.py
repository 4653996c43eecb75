"""Users and passwords: what is decided about them. Time and ids are arguments."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.identity.errors import EmailNotVerified, FieldNotUpdatable
from services.identity.rules.identifiers import canonical_login, canonical_username, deliverable_email, is_username

ROLE_USER = "user"
ROLE_ADMIN = "admin"
ROLE_AUDITOR = "auditor"
GRANTABLE_ROLES = frozenset({"teacher", ROLE_ADMIN, "operator", ROLE_AUDITOR})
"""The roles that an administrator gives and takes; `user` everybody keeps."""

PROFILE_DEFAULTS: Mapping[str, str] = {
    "display_name": "",
    "avatar_url": "",
    "native_language": "vi",
    "target_language": "en",
    "level": "beginner",
}
"""The fields that a user may change, and what an emptied one becomes (an empty display name: the username)."""

SAMPLE_PASSWORDS = frozenset({
    "11111111", "12345678", "123456789", "1234567890", "abc12345", "admin", "admin123", "admin1234", "administrator",
    "change-me", "change_me", "changeit", "changeme", "changeme123", "default", "example", "iloveyou", "letmein",
    "letmein1", "p@ssw0rd", "p@ssword", "parley", "parley123", "passw0rd", "password", "password1", "password12",
    "password123", "password1234", "postgres", "qwerty", "qwerty123", "qwertyui", "qwertyuiop", "root", "sample",
    "secret", "secret123", "test", "test1234", "testtest", "user", "welcome", "welcome1", "welcome123",
})  # fmt: skip
"""Passwords that stand in examples and in every attacker's first list; compared without regard to case."""

MIN_PASSWORD_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class User:
    """A person who can sign in."""

    user_id: UUID
    email: str
    username: str
    display_name: str
    avatar_url: str
    native_language: str
    target_language: str
    level: str
    roles: frozenset[str]
    is_active: bool
    organization_id: UUID | None
    created_at: datetime
    updated_at: datetime
    email_verified: bool = False


@dataclass(frozen=True, slots=True)
class NewUser:
    """What somebody registers with."""

    email: str
    username: str
    password: str = field(repr=False)
    display_name: str = ""
    roles: frozenset[str] = frozenset()
    """The roles beside `user`, which everybody has."""


@dataclass(frozen=True, slots=True)
class UserQuery:
    """Which users a list shows; what is empty chooses nothing."""

    text: str = ""
    """A part of the address, the username or the display name, in any case."""
    role: str = ""
    is_active: bool | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and the hash of the password."""

    user: User
    password_hash: str = field(repr=False)


def new_user(user_id: UUID, email: str, username: str, display_name: str, now: datetime, roles: frozenset[str]) -> User:
    """Return a user who has just registered. Raises InvalidFields for an address or a username that cannot be kept."""
    canonical_username(username)
    return User(
        user_id=user_id,
        email=deliverable_email(email),
        username=username,
        display_name=display_name.strip() or username,
        avatar_url=PROFILE_DEFAULTS["avatar_url"],
        native_language=PROFILE_DEFAULTS["native_language"],
        target_language=PROFILE_DEFAULTS["target_language"],
        level=PROFILE_DEFAULTS["level"],
        roles=roles | {ROLE_USER},
        is_active=True,
        organization_id=None,
        created_at=now,
        updated_at=now,
    )


def demand_verified(user: User | None) -> None:
    """Raise EmailNotVerified until the user has proven the address: anybody may have registered it."""
    if user is None or not user.email_verified:
        raise EmailNotVerified


def username_of(email: str, default: str = ROLE_ADMIN) -> str:
    """Return a username made from the local part of an address, or the default where that makes none."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", email.partition("@")[0])[:50]
    return name if is_username(name) else default


def unlike_username(email: str, tail: str) -> str:
    """Return a username made from the local part of an address, unlike others' by its tail."""
    return f"{username_of(email, ROLE_USER)[: 49 - len(tail)]}-{tail}"


def composed(password: str) -> str:
    """Return a password as it is hashed: keyboards disagree on how `ế` is spelled, people do not (RFC 8265)."""
    return unicodedata.normalize("NFC", password)


def is_sample_password(password: str) -> bool:
    """Return whether the password is one that everybody knows."""
    return composed(password).strip().casefold() in SAMPLE_PASSWORDS


def password_fault(password: str, email: str, username: str) -> str:
    """Return why a password must not be used, empty when it may be."""
    if is_sample_password(password):
        return "is a well-known password"
    if canonical_login(password) in {canonical_login(email), canonical_login(username)}:
        return "must not be the e-mail address or the username"
    return ""


def profile_changes(user: User, values: Mapping[str, str], mask: Sequence[str]) -> dict[str, str]:
    """Return what an update changes (AIP-134). `values` has every key of PROFILE_DEFAULTS, `mask` is in snake_case.

    An empty mask takes the values that are not empty, `*` takes all. An emptied field gets its default.

    Raises:
        FieldNotUpdatable: the mask names something else.
    """
    for path in mask:
        if path not in PROFILE_DEFAULTS and path != "*":
            raise FieldNotUpdatable(field=path)
    given = {name: values[name].strip() for name in PROFILE_DEFAULTS}
    if not mask:
        return {name: value for name, value in given.items() if value}
    defaults = {**PROFILE_DEFAULTS, "display_name": user.username}
    return {name: value or defaults[name] for name, value in given.items() if "*" in mask or name in mask}
