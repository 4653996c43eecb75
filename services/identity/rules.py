"""Users, passwords, sessions and signing keys: what is decided about them. Time and ids are arguments."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from itertools import pairwise
from uuid import UUID

from services.identity.errors import FieldNotUpdatable

ROLE_USER = "user"
ROLE_ADMIN = "admin"

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
_USERNAME = re.compile(r"[A-Za-z0-9._-]{3,50}")


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
    """Return a user who has just registered. The address is kept as given; only its uniqueness ignores case."""
    return User(
        user_id=user_id,
        email=email.strip(),
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


def is_email(login: str) -> bool:
    """Return whether a login is an address: no username has an `@`, every address has."""
    return "@" in login


def username_of(email: str) -> str:
    """Return a username made from the local part of an address."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", email.partition("@")[0])[:50]
    return name if _USERNAME.fullmatch(name) else ROLE_ADMIN


def is_username(text: str) -> bool:
    """Return whether a text may be a username."""
    return _USERNAME.fullmatch(text) is not None


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
    if composed(password).casefold() in {email.strip().casefold(), username.casefold()}:
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


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets when it signs in or refreshes."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    """For how many seconds the access token is good."""


@dataclass(frozen=True, slots=True)
class UserSession:
    """A session as its user sees it. Its id is what access tokens call `sid`."""

    session_id: str
    created_at: datetime
    used_at: datetime
    """When it began or was last refreshed."""
    expires_at: datetime
    address: str
    """From where it began; empty when nobody knows."""


@dataclass(frozen=True, slots=True)
class Organization:
    """People who belong together, such as a school. A user is a member of one at most."""

    organization_id: UUID
    name: str
    """Unique without regard to case."""
    description: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """What one sign-in began: the family of all refresh tokens that came of it."""

    session_id: UUID
    user_id: UUID
    created_at: datetime
    expires_at: datetime
    """When its newest refresh token expires."""
    ended_at: datetime | None = None
    used_at: datetime | None = None
    """When it was last refreshed."""
    address: str = ""


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One refresh token; the token itself is known to the client only."""

    token_hash: bytes
    session_id: UUID
    expires_at: datetime
    spent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShownToken:
    """What is known of a refresh token that a client shows."""

    token: RefreshToken
    session: Session
    user: User


class Verdict(Enum):
    """What becomes of a client that shows a refresh token."""

    ROTATE = "gets the next pair"
    REUSED = "shows a spent token: its session is to be ended"
    ENDED = "is of a session that has ended"
    REFUSED = "gets nothing"


def fingerprint(secret: str) -> bytes:
    """Return under what a refresh token is stored. It has 256 random bits: there is nothing to guess or to salt."""
    return hashlib.sha256(secret.encode()).digest()


def judge_refresh(shown: ShownToken | None, now: datetime) -> Verdict:
    """Decide about a shown refresh token; None is an unknown one.

    There is no grace: of two clients that show the same token one is a thief, and nobody can tell which.
    """
    if shown is None:
        return Verdict.REFUSED
    if shown.session.ended_at is not None:
        return Verdict.ENDED
    # Before reuse: an expired token gets nobody in, so showing it again proves no harm.
    if shown.token.expires_at <= now:
        return Verdict.REFUSED
    if shown.token.spent_at is not None:
        return Verdict.REUSED
    return Verdict.ROTATE if shown.user.is_active else Verdict.REFUSED


def access_claims(
    user: User, session_id: UUID, token_id: UUID, issuer: str, audience: str, now: datetime, lifetime: timedelta
) -> dict[str, object]:
    """Return the claims of an access token; their names are Keycloak's."""
    issued_at = int(now.timestamp())
    claims: dict[str, object] = {
        "iss": issuer,
        "aud": audience,
        "sub": str(user.user_id),
        "sid": str(session_id),
        "iat": issued_at,
        "exp": issued_at + int(lifetime.total_seconds()),
        "jti": str(token_id),
        "typ": "Bearer",
        "preferred_username": user.username,
        "email": user.email,
        "realm_access": {"roles": sorted(user.roles)},
    }
    if user.organization_id is not None:
        claims["organization"] = str(user.organization_id)
    return claims


def provider_metadata(issuer: str) -> dict[str, object]:
    """Return what OpenID Connect Discovery 1.0 tells of an issuer: only what there is."""
    base = issuer.rstrip("/")
    return {
        "issuer": issuer,
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "userinfo_endpoint": f"{base}/api/v1/auth/me",
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": [],
        "claims_supported": [
            *("iss", "aud", "sub", "sid", "iat", "exp", "jti", "typ"),
            *("preferred_username", "email", "organization", "realm_access"),
        ],
    }


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair that signs access tokens. Numbers rise by one; a later key signs later."""

    number: int
    key_id: str
    signs_from: datetime
    private_pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """When keys come and go."""

    rotation: timedelta
    """For how long a key signs."""
    publish_ahead: timedelta
    """For how long a key is published before it signs, so that every verifier has it by then."""
    kept_after: timedelta
    """For how long a key that signs no more stays published: until its last access token has expired."""


def in_order(keys: Sequence[SigningKey]) -> list[SigningKey]:
    """Return the keys in the order in which they sign."""
    return sorted(keys, key=lambda key: key.number)


def signing_key(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """Return the key that signs now: the last one whose time has come, else the first. There must be one."""
    ordered = in_order(keys)
    begun = [key for key in ordered if key.signs_from <= now]
    return begun[-1] if begun else ordered[0]


def published_keys(keys: Sequence[SigningKey], schedule: KeySchedule, now: datetime) -> list[SigningKey]:
    """Return the keys that verifiers must know: the next one, the signing one, and those with live tokens."""
    ordered = in_order(keys)
    needed = [older for older, newer in pairwise(ordered) if now < newer.signs_from + schedule.kept_after]
    return [*needed, *ordered[-1:]]


def next_signs_from(keys: Sequence[SigningKey], schedule: KeySchedule, now: datetime) -> datetime | None:
    """Return from when on a new key has to sign, when one is due; None when none is. The very first signs at once."""
    if not keys:
        return now
    newest = in_order(keys)[-1]
    if now + schedule.publish_ahead < newest.signs_from + schedule.rotation:
        return None
    return now + schedule.publish_ahead


def next_number(keys: Sequence[SigningKey]) -> int:
    """Return the number of the next key."""
    return max((key.number for key in keys), default=0) + 1
