"""Sessions and their tokens: what is decided about them. Time and ids are arguments."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from services.identity.rules.users import User


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets when it signs in or refreshes."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    """For how many seconds the access token is good."""
    user_id: str = ""
    """Whose tokens they are."""
    session_id: str = ""
    """The claim `sid` of the access token."""


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

    Of two clients that show the same token one is a thief, and nobody can tell which. The same client that shows it
    again within some seconds does not get here: see operations/refresh_session.py.
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
