"""Bearer tokens, good and forged, against a real key server and a real list of ended sessions."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from redis.asyncio import Redis

from services.chassis import key_sets
from services.chassis.caller import Caller
from services.chassis.errors import SessionCheckUnavailable, Unauthenticated
from services.chassis.key_sets import RemoteKeySet
from services.chassis.resources import open_valkey
from services.chassis.revocations import RevokedSessions
from services.chassis.tokens import ServiceTokens, TokenVerifier
from tests.services.chassis.key_server import (
    AUDIENCE,
    ISSUER,
    KeyServer,
    claims,
    ec_key,
    public_jwk,
    public_pem,
    rsa_key,
    running_key_server,
    token,
)
from tests.support.stores import free_port

_SECRET = "a secret of the tests, long enough"
_MESH = "parley-mesh"


@pytest.fixture
def issuer() -> Iterator[KeyServer]:
    with running_key_server() as keys:
        yield keys


@pytest.fixture
def verifier(issuer: KeyServer, valkey: Redis) -> TokenVerifier:
    return _verifier(issuer.url, valkey)


def _verifier(url: str, valkey: Redis) -> TokenVerifier:
    return TokenVerifier(
        issuer=ISSUER, audience=AUDIENCE, secret=_SECRET, keys=RemoteKeySet(url), revoked=RevokedSessions(valkey)
    )


async def test_a_good_token_says_who_calls(verifier: TokenVerifier) -> None:
    expires_at = int(time.time()) + 60
    roles = {"roles": ["user", "admin"]}
    assert await verifier.verify(token(exp=expires_at, realm_access=roles, organization="acme")) == Caller(
        user_id="ann",
        session_id="session-1",
        organization_id="acme",
        roles=frozenset({"user", "admin"}),
        expires_at=expires_at,
    )


@pytest.mark.parametrize("realm_access", [None, "admin", ["admin"], {}])
async def test_a_token_without_roles_has_none(verifier: TokenVerifier, realm_access: Any) -> None:
    assert (await verifier.verify(token(realm_access=realm_access))).roles == frozenset()


async def test_an_elliptic_key_is_as_good(verifier: TokenVerifier) -> None:
    signed = token(ec_key(), "ES256", {"kid": "key-ec"})
    assert (await verifier.verify(signed)).user_id == "ann"


async def test_a_service_shows_itself(verifier: TokenVerifier) -> None:
    tokens = ServiceTokens(_SECRET, "conversations")
    caller = await verifier.verify(tokens.current())
    assert (caller.service, caller.user_id, caller.roles) == ("conversations", "", frozenset())
    assert tokens.current() == tokens.current()


def _raw(header: dict[str, Any], signature: bytes = b"", **changes: Any) -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims(**changes)).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _hmac(secret: bytes | str, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """Sign as PyJWT would not: it refuses to take a public key for an HMAC secret."""
    import hashlib
    import hmac

    key = secret.encode() if isinstance(secret, str) else secret
    unsigned = _raw({"alg": "HS256", "typ": "JWT", "kid": "key-1"} | (header or {}), **changes).rpartition(".")[0]
    signature = hmac.new(key, unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _service_claims(**changes: Any) -> dict[str, Any]:
    return {"iss": _MESH, "aud": _MESH, "sub": "service:worker", "sid": None} | changes


_STRANGER = rsa_key("stranger")
_FORGERIES = {
    "nothing": "",
    "no token": "abc",
    "two parts": "a.b",
    "bytes that are no text": "\udcff.a.b",
    "algorithm none": _raw({"alg": "none", "typ": "JWT"}),
    "algorithm None": _raw({"alg": "None", "typ": "JWT", "kid": "key-1"}),
    "algorithm missing": _raw({"typ": "JWT", "kid": "key-1"}),
    "algorithm a list": _raw({"alg": ["RS256"], "kid": "key-1"}),
    "no signature": token().rpartition(".")[0] + ".",
    "a changed claim": ".".join([token().split(".")[0], _raw({}, sub="root").split(".")[1], token().split(".")[2]]),
    "the public key as HMAC secret": _hmac(public_pem(rsa_key("issuer"))),
    "the public key as HMAC secret, as a service": _hmac(public_pem(rsa_key("issuer")), **_service_claims()),
    "an empty HMAC secret": _hmac("", **_service_claims()),
    "HS384 with the right secret": jwt.encode(claims(**_service_claims()), _SECRET.ljust(48, "x"), "HS384"),
    "another's key": token(_STRANGER),
    "another's elliptic key under the id of an RSA key": token(ec_key(), "ES256"),
    "PS256 with the right key": token(algorithm="PS256"),
    "RS512 with the right key": token(algorithm="RS512"),
    "its own key in the header": token(_STRANGER, headers={"jwk": public_jwk(_STRANGER, "key-1")}),
    "its own key in the header, without an id": token(_STRANGER, headers={"jwk": public_jwk(_STRANGER, ""), "kid": ""}),
    "a key id that is a path": token(_STRANGER, headers={"kid": "../../../../dev/null"}),
    "a key id that is a query": token(_STRANGER, headers={"kid": "key-1' OR '1'='1"}),
    "an unknown key id": token(headers={"kid": "key-9"}),
    "no key id": token(headers={"kid": ""}),
    "a critical header nobody knows": token(headers={"crit": ["b64"], "b64": False}),
    "expired": token(exp=int(time.time()) - 60),
    "an expiry that is no number": token(exp="tomorrow"),
    "not yet good": token(nbf=int(time.time()) + 600),
    "made in the future": token(iat=int(time.time()) + 600),
    "another audience": token(aud="other"),
    "another audience beside a prefix": token(aud=["parley-admin"]),
    "another issuer": token(iss="http://evil.test"),
    "our issuer with a slash": token(iss=ISSUER + "/"),
    **{
        f"no {name}": jwt.encode(claims(**{name: None}), rsa_key("issuer"), "RS256", {"kid": "key-1"})
        for name in ("exp", "iat", "iss", "aud", "sub", "sid")
    },
    "a user's token of the services' issuer": token(iss=_MESH, aud=_MESH),
    "a service's token of the users' issuer": _hmac(_SECRET),
    "a service's token of another house": _hmac("another secret, which is long enough", **_service_claims()),
    "a service's token without an end": _hmac(_SECRET, **_service_claims(exp=None)),
    "a service's token that has expired": _hmac(_SECRET, **_service_claims(exp=int(time.time()) - 60)),
    # The leeway for clocks that differ is five seconds.
    "expired a moment ago": token(exp=int(time.time()) - 7),
    "a service's token that has expired a moment ago": _hmac(_SECRET, **_service_claims(exp=int(time.time()) - 7)),
    "a token beyond 8 KiB": token(padding="x" * 8192),
}


@pytest.mark.parametrize("forged", _FORGERIES.values(), ids=list(_FORGERIES))
async def test_a_forged_token_is_refused(verifier: TokenVerifier, forged: str) -> None:
    with pytest.raises(Unauthenticated) as raised:
        await verifier.verify(forged)
    # What is wrong is told in a constant text: nothing of the token, of the keys or of the library comes back.
    assert raised.value.message in ("the token is not valid", "the token has expired", "the token is too long")


@pytest.mark.parametrize("header", ["jku", "x5u"])
async def test_a_token_cannot_name_its_own_key_server(verifier: TokenVerifier, issuer: KeyServer, header: str) -> None:
    with running_key_server() as evil:
        evil.keys = [public_jwk(_STRANGER, "evil")]
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(_STRANGER, headers={header: evil.url, "kid": "evil"}))
        assert evil.asked == 0
    assert issuer.asked == 1


async def test_a_flood_of_unknown_key_ids_asks_the_issuer_once(verifier: TokenVerifier, issuer: KeyServer) -> None:
    for number in range(100):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(headers={"kid": f"forged-{number}"}))
    assert issuer.asked == 1
    assert (await verifier.verify(token())).user_id == "ann"
    assert issuer.asked == 1


async def test_a_new_key_is_found_and_an_old_one_goes(
    verifier: TokenVerifier, issuer: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sets, "_RETRY_SECONDS", 0.0)
    await verifier.verify(token())
    issuer.keys = [public_jwk(rsa_key("next"), "key-2")]
    assert (await verifier.verify(token(rsa_key("next"), headers={"kid": "key-2"}))).user_id == "ann"
    with pytest.raises(Unauthenticated):
        await verifier.verify(token(sub="bob"))


async def test_known_keys_stay_good_while_the_issuer_is_away(
    verifier: TokenVerifier, issuer: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await verifier.verify(token())
    monkeypatch.setattr(key_sets, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(key_sets, "_FRESH_SECONDS", 0.0)
    issuer.status = 500
    assert (await verifier.verify(token(sub="bob"))).user_id == "bob"
    assert issuer.asked == 2


async def test_nobody_is_let_in_when_the_issuer_was_never_there(valkey: Redis) -> None:
    verifier = _verifier(f"http://127.0.0.1:{free_port()}/jwks.json", valkey)
    for _ in range(3):
        # Not only the first one: a client that reads "not valid" would throw a good token away.
        with pytest.raises(SessionCheckUnavailable):
            await verifier.verify(token())


@pytest.mark.parametrize("whose", ["a user's", "a service's"])
async def test_a_token_that_was_good_is_refused_once_it_has_expired(
    verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    soon = int(time.time()) + 1
    good = token(exp=soon) if whose == "a user's" else _hmac(_SECRET, **_service_claims(exp=soon))
    await verifier.verify(good)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7)
    later = _Later(now + 7)
    monkeypatch.setattr("jwt.api_jwt.datetime", later)
    with pytest.raises(Unauthenticated, match="expired"):
        await verifier.verify(good)


class _Later:
    """The clock of PyJWT, set forward."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self, tz: Any = None) -> Any:
        """Return the later time."""
        from datetime import datetime

        return datetime.fromtimestamp(self._seconds, tz)


async def test_logout_works_at_once(verifier: TokenVerifier, valkey: Redis) -> None:
    signed = token(sid="session-2")
    assert (await verifier.verify(signed)).session_id == "session-2"
    await RevokedSessions(valkey).add("session-2", 60)
    with pytest.raises(Unauthenticated, match="session has ended"):
        await verifier.verify(signed)
    assert (await verifier.verify(token())).session_id == "session-1"


async def test_nobody_is_let_in_when_the_ended_sessions_cannot_be_read(issuer: KeyServer) -> None:
    away = open_valkey(f"redis://127.0.0.1:{free_port()}/0")
    verifier = _verifier(issuer.url, away)
    with pytest.raises(SessionCheckUnavailable):
        await verifier.verify(token())
    # The services' own tokens belong to no session.
    assert (await verifier.verify(ServiceTokens(_SECRET, "worker").current())).service == "worker"
    await away.aclose()
