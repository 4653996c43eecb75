"""The tokens of the built-in directory."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis.identifiers import new_id
from services.identity.ports.keys import SignClaims
from services.identity.rules.sessions import RefreshToken, TokenPair, access_claims, fingerprint
from services.identity.rules.users import User

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class BuiltinTokens:
    """Issues access and refresh tokens."""

    sign: SignClaims
    issuer: str
    audience: str
    access_lifetime: timedelta
    refresh_lifetime: timedelta

    def issue(self, user: User, session_id: UUID, now: datetime) -> tuple[TokenPair, RefreshToken]:
        """Return a new pair for the client, and what is to be stored of its refresh token."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        claims = access_claims(user, session_id, new_id(), self.issuer, self.audience, now, self.access_lifetime)
        pair = TokenPair(
            self.sign(claims), secret, int(self.access_lifetime.total_seconds()), str(user.user_id), str(session_id)
        )
        return pair, RefreshToken(fingerprint(secret), session_id, now + self.refresh_lifetime)
