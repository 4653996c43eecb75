"""A service asks identity about a key now and then, and refuses an ended key at once."""

import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest
from parley.identity.v1 import api_key_service_pb2 as pb
from parley.identity.v1 import api_key_service_pb2_grpc as api_key_grpc
from redis.asyncio import Redis

from services.chassis.api_keys import ApiKeyVerifier
from services.chassis.errors import SessionCheckUnavailable, Unauthenticated
from services.chassis.revocations import RevokedSessions
from tests.support.stores import free_port

USER = "0198b6d4-0000-7000-8000-000000000001"


class Identity:
    """Knows one key, and how often it was asked. The other RPCs of its service are not called here."""

    CreateApiKey = ListApiKeys = RevokeApiKey = RotateApiKey = None

    def __init__(self) -> None:
        self.key = new_key()
        self.asked: list[bytes] = []
        self.expires_at = int(time.time()) + 60

    async def CheckApiKey(self, request: pb.CheckApiKeyRequest, context: Any) -> pb.CheckApiKeyResponse:
        self.asked.append(request.key_hash)
        if request.key_hash != hash_of(self.key):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such key")
        answer = pb.CheckApiKeyResponse(api_key_id=self.key[-36:], user_id=USER, scopes=["a.read"])
        answer.expire_time.seconds = self.expires_at
        return answer


def new_key() -> str:
    return f"pk_{secrets.token_hex(5)}_{secrets.token_urlsafe(32)}"


def hash_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


@pytest.fixture
async def identity() -> Identity:
    """A service that answers about keys."""
    return Identity()


@pytest.fixture
async def verifier(identity: Identity, valkey: Redis) -> AsyncIterator[ApiKeyVerifier]:
    """A verifier that reaches it."""
    server = grpc.aio.server()
    api_key_grpc.add_ApiKeyServiceServicer_to_server(cast("api_key_grpc.ApiKeyServiceServicer", identity), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ApiKeyVerifier(channel, RevokedSessions(valkey))
    await server.stop(None)


async def test_a_key_calls_in_its_users_name_without_roles(verifier: ApiKeyVerifier, identity: Identity) -> None:
    caller = await verifier.verify(identity.key)
    assert (caller.user_id, caller.scopes, caller.roles, caller.service) == (
        USER,
        frozenset({"a.read"}),
        frozenset(),
        "",
    )
    assert caller.api_key_id == caller.session_id == identity.key[-36:]


async def test_identity_is_asked_once_in_a_while_and_never_told_the_key(
    verifier: ApiKeyVerifier, identity: Identity
) -> None:
    for _ in range(5):
        await verifier.verify(identity.key)
    assert identity.asked == [hash_of(identity.key)]
    unknown = new_key()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await verifier.verify(unknown)
    assert len(identity.asked) == 2


async def test_an_ended_key_is_refused_at_once(verifier: ApiKeyVerifier, identity: Identity, valkey: Redis) -> None:
    caller = await verifier.verify(identity.key)
    await RevokedSessions(valkey).add(caller.api_key_id, 60)
    with pytest.raises(Unauthenticated):
        await verifier.verify(identity.key)


async def test_a_key_that_expires_meanwhile_is_refused(verifier: ApiKeyVerifier, identity: Identity) -> None:
    identity.expires_at = int(time.time()) - 1
    with pytest.raises(Unauthenticated):
        await verifier.verify(identity.key)


async def test_an_answer_grows_old(
    verifier: ApiKeyVerifier, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()

    def after(seconds: float) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: began + seconds)

    good, later_good = identity.key, new_key()
    await verifier.verify(good)
    with pytest.raises(Unauthenticated):
        await verifier.verify(later_good)
    # Nobody announces this: the answer of before is all that there is, for five seconds.
    identity.key = later_good
    after(3)
    await verifier.verify(good)
    with pytest.raises(Unauthenticated):
        await verifier.verify(later_good)
    assert len(identity.asked) == 2
    after(8)
    with pytest.raises(Unauthenticated):
        await verifier.verify(good)
    assert (await verifier.verify(later_good)).user_id == USER
    assert len(identity.asked) == 4


@pytest.mark.parametrize(
    "key",
    ["pk_", "pk_x", "pk_0123456789_short", new_key() + "x", new_key().upper(), "pk_" * 9999],
    ids=["prefix", "prefix and a letter", "too short", "a letter more", "capitals", "long"],
)
async def test_what_does_not_look_like_a_key_is_asked_about_by_nobody(
    verifier: ApiKeyVerifier, identity: Identity, key: str
) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(key)
    assert identity.asked == []


async def test_while_identity_is_away_nobody_is_let_in(valkey: Redis) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{free_port()}") as nobody:
        with pytest.raises(SessionCheckUnavailable):
            await ApiKeyVerifier(nobody, RevokedSessions(valkey)).verify(new_key())
