"""Bearer tokens: users' come from the OIDC issuer, the services' own from there too, or they are made here.

Users' tokens have the claims of Keycloak: roles stand in `realm_access.roles`, the session in `sid`.
"""

import time
from typing import Any

import jwt

from services.chassis.caller import SERVICE_PREFIX, Caller
from services.chassis.errors import SessionCheckUnavailable, Unauthenticated
from services.chassis.key_sets import KeySetUnavailable, RemoteKeySet
from services.chassis.revocations import RevokedSessions

USER_ALGORITHMS = ("RS256", "ES256")
_SERVICE_ALGORITHM = "HS256"
_SERVICE_ISSUER = "parley-mesh"
_SERVICE_SECONDS = 300
# The audience of service accounts at the issuer: the edge, which wants the users' one, refuses their tokens.
SERVICE_AUDIENCE = "parley-mesh"
CLIENT_PREFIX = "parley-"
_SERVICE_ROLE = "service"
_ACCESS_TOKEN = "Bearer"  # noqa: S105 -- a type of token, no token
_MAX_TOKEN_CHARACTERS = 8192
_LEEWAY_SECONDS = 5
_CACHED_TOKENS = 10_000


class ServiceTokens:
    """Makes the token with which a service of ours shows itself to another; the edge refuses it."""

    def __init__(self, secret: str, service: str) -> None:
        self._secret = secret
        self._service = service
        self._token = ""
        self._expires_at = 0.0

    async def token(self) -> str:
        """See the port TokenSource."""
        return self.current()

    def current(self) -> str:
        """Return a token that is good for at least one more minute."""
        now = time.time()
        if now > self._expires_at - 60:
            self._expires_at = now + _SERVICE_SECONDS
            claims = {
                "iss": _SERVICE_ISSUER,
                "aud": _SERVICE_ISSUER,
                "sub": SERVICE_PREFIX + self._service,
                "iat": int(now),
                "exp": int(self._expires_at),
            }
            self._token = jwt.encode(claims, self._secret, algorithm=_SERVICE_ALGORITHM)
        return self._token


class TokenVerifier:
    """Checks bearer tokens: signature, issuer, audience, times, and whether the session has ended.

    With an empty `secret` only the issuer's tokens are good, for services too.
    """

    def __init__(
        self, *, issuer: str, audience: str, secret: str, keys: RemoteKeySet, revoked: RevokedSessions
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._secret = secret
        self._keys = keys
        self._revoked = revoked
        self._verified: dict[str, Caller] = {}

    async def verify(self, token: str) -> Caller:
        """Return whose token it is.

        Raises:
            Unauthenticated: the token is malformed, forged, expired, of another issuer or audience,
                or of an ended session.
            SessionCheckUnavailable: what is needed to tell cannot be reached.
        """
        caller = self._verified.get(token)
        if caller is None or caller.expires_at + _LEEWAY_SECONDS < time.time():
            caller = await self._check(token)
            if len(self._verified) >= _CACHED_TOKENS:
                self._verified.clear()
            self._verified[token] = caller
        if caller.session_id and await self._revoked.contains(caller.session_id):
            raise Unauthenticated(cause="the session has ended")
        return caller

    async def _check(self, token: str) -> Caller:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise Unauthenticated(cause="the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            # The algorithm picks the kind of token, and each kind has its own keys:
            # a public key is never taken for an HMAC secret.
            if header.get("alg") == _SERVICE_ALGORITHM:
                return self._service(token)
            return await self._of_issuer(token, str(header.get("kid", "")))
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated(cause="the token has expired") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthenticated(cause="the token is not valid") from error
        except KeySetUnavailable as error:
            raise SessionCheckUnavailable from error

    def _service(self, token: str) -> Caller:
        if not self._secret:
            raise jwt.InvalidKeyError("services' tokens come from the issuer")
        claims = jwt.decode(
            token,
            self._secret,
            algorithms=[_SERVICE_ALGORITHM],
            issuer=_SERVICE_ISSUER,
            audience=_SERVICE_ISSUER,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        return Caller(service=str(claims["sub"]).removeprefix(SERVICE_PREFIX), expires_at=int(claims["exp"]))

    async def _of_issuer(self, token: str, key_id: str) -> Caller:
        key = await self._keys.key(key_id)
        if key is None:
            raise jwt.InvalidKeyError("unknown key id")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(USER_ALGORITHMS),
            issuer=self._issuer,
            audience=[self._audience, SERVICE_AUDIENCE],
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        # ID tokens, refresh tokens and logout tokens carry the same signature.
        if claims.get("typ") != _ACCESS_TOKEN:
            raise jwt.InvalidTokenError("not an access token")
        return self._user(claims) if "sid" in claims else self._service_account(claims)

    def _user(self, claims: dict[str, Any]) -> Caller:
        if self._audience not in _audiences(claims):
            raise jwt.InvalidAudienceError("a user's token for somebody else")
        return Caller(
            user_id=str(claims["sub"]),
            session_id=str(claims["sid"]),
            organization_id=_organization(claims.get("organization")),
            roles=_roles(claims),
            expires_at=int(claims["exp"]),
        )

    def _service_account(self, claims: dict[str, Any]) -> Caller:
        """Return the service whose account the token is of: only clients have `client_id` in it, and no session."""
        client = str(claims.get("client_id", ""))
        name = client.removeprefix(CLIENT_PREFIX)
        known = name != client and claims.get("azp") == client and _SERVICE_ROLE in _roles(claims)
        audiences = _audiences(claims)
        if not known or SERVICE_AUDIENCE not in audiences or self._audience in audiences:
            raise jwt.InvalidTokenError("neither a user's token nor a service's")
        return Caller(service=name, expires_at=int(claims["exp"]))


def _audiences(claims: dict[str, Any]) -> list[str]:
    return [claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]


def _roles(claims: dict[str, Any]) -> frozenset[str]:
    realm_access = claims.get("realm_access")
    roles = realm_access.get("roles", []) if isinstance(realm_access, dict) else []
    return frozenset(str(role) for role in roles)


def _organization(claim: Any) -> str:
    """Return the organisation's id. Keycloak tells it by alias, `[{"acme": {"id": …}}]`; we have one at most."""
    if isinstance(claim, dict | list):
        by_alias = [one for one in (claim if isinstance(claim, list) else [claim]) if isinstance(one, dict)]
        ids = [str(told.get("id", "")) for one in by_alias for told in one.values() if isinstance(told, dict)]
        return ids[0] if len(ids) == 1 else ""
    return claim if isinstance(claim, str) else ""
