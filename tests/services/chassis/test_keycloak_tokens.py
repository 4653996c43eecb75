"""Tokens as Keycloak makes them: users', service accounts', and the kinds that are no access tokens."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from services.chassis import key_sets
from services.chassis.errors import Unauthenticated
from services.chassis.key_sets import RemoteKeySet
from services.chassis.revocations import RevokedSessions
from services.chassis.tokens import ServiceTokens, TokenVerifier
from tests.services.chassis.key_server import AUDIENCE, ISSUER, KeyServer, running_key_server, token

_ACCOUNT: dict[str, Any] = {
    "aud": "parley-mesh",
    "azp": "parley-conversations",
    "client_id": "parley-conversations",
    "preferred_username": "service-account-parley-conversations",
    "sid": None,
    "realm_access": {"roles": ["service"]},
}


@pytest.fixture
def issuer() -> Iterator[KeyServer]:
    with running_key_server() as keys:
        yield keys


@pytest.fixture
def verifier(issuer: KeyServer, valkey: Redis) -> TokenVerifier:
    revoked = RevokedSessions(valkey)
    return TokenVerifier(issuer=ISSUER, audience=AUDIENCE, secret="", keys=RemoteKeySet(issuer.url), revoked=revoked)


async def test_the_organisation_is_known_by_its_id(verifier: TokenVerifier) -> None:
    known = "8d1c3a04-0000-7000-8000-000000000001"
    for told in ({"acme": {"id": known}}, [{"acme": {"id": known}}], known):
        assert (await verifier.verify(token(organization=told))).organization_id == known


@pytest.mark.parametrize(
    "told",
    [
        ["acme"],
        [{"a": {"id": "1"}}, {"b": {"id": "2"}}],
        {"acme": {}},
        {"a": {"id": "1"}, "b": {"id": "2"}},
        {"acme": "1"},
        7,
    ],
)
async def test_an_organisation_without_one_id_is_none(verifier: TokenVerifier, told: object) -> None:
    assert (await verifier.verify(token(organization=told))).organization_id == ""


async def test_a_service_account_is_its_service_and_nobody_else(verifier: TokenVerifier) -> None:
    caller = await verifier.verify(token(**_ACCOUNT))
    assert (caller.service, caller.user_id, caller.roles) == ("conversations", "", frozenset())


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": AUDIENCE},
        {"aud": ["parley-mesh", AUDIENCE]},
        {"client_id": None},
        {"client_id": "evil-conversations", "azp": "evil-conversations"},
        {"azp": "parley-web"},
        {"realm_access": {"roles": ["user"]}},
        {"realm_access": None},
        {"sid": "session-1"},
        {"typ": "ID"},
    ],
    ids=repr,
)
async def test_what_only_looks_like_a_service_account_is_refused(
    verifier: TokenVerifier, changes: dict[str, Any]
) -> None:
    assert (await verifier.verify(token(**_ACCOUNT))).service
    with pytest.raises(Unauthenticated):
        await verifier.verify(token(**(_ACCOUNT | changes)))


async def test_a_user_with_the_role_of_services_is_a_user(verifier: TokenVerifier) -> None:
    caller = await verifier.verify(token(realm_access={"roles": ["user", "service"]}, client_id="parley-identity"))
    assert (caller.service, caller.user_id) == ("", "ann")


@pytest.mark.parametrize("kind", ["ID", "Refresh", "Offline", "Logout", "bearer", None, 1])
async def test_other_kinds_of_token_are_no_access_tokens(verifier: TokenVerifier, kind: object) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(token(typ=kind))


async def test_tokens_that_we_sign_are_refused_when_the_issuer_gives_them(verifier: TokenVerifier) -> None:
    for secret in ("a secret of the tests, long enough", "another secret of the tests, long enough"):
        with pytest.raises(Unauthenticated):
            await verifier.verify(ServiceTokens(secret, "conversations").current())


async def test_ten_thousand_unknown_key_ids_ask_the_issuer_once_a_pause(
    verifier: TokenVerifier, issuer: KeyServer
) -> None:
    forged = token(headers={"kid": "forged"}).split(".", 1)[1]
    headers = [token(headers={"kid": f"forged-{number}"}).split(".", 1)[0] for number in range(100)]
    began = time.monotonic()
    for number in range(10_000):
        with pytest.raises(Unauthenticated):
            await verifier.verify(f"{headers[number % 100]}.{forged}")
    pauses = (time.monotonic() - began) // key_sets._RETRY_SECONDS
    assert issuer.asked <= 1 + pauses
    assert (await verifier.verify(token())).user_id == "ann"
