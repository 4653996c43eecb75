"""Brute force ends: for each account and for each network address, over a real server and real Valkey."""

from collections.abc import AsyncIterator, Awaitable
from hashlib import sha256
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from parley.identity.v1 import auth_service_pb2 as auth_pb
from parley.identity.v1 import organization_service_pb2 as organization_pb
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.interceptors.client_address import METADATA_KEY
from services.identity.backends.valkey_attempts import ValkeyAttempts
from services.identity.ports.accounts import Limit
from tests.acceptance.identity.test_service import PASSWORD, Client, bearer, running

PER_ADDRESS, PER_ACCOUNT, PER_CLIENT = 6, 4, 5


@pytest.fixture
async def client(database: Database, valkey: Redis, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A client of a server with low limits."""
    limits = {"ATTEMPTS_PER_ADDRESS": PER_ADDRESS, "ATTEMPTS_PER_ACCOUNT": PER_ACCOUNT, "MAILS_PER_HOUR": 2}
    limits |= {"MAILS_PER_CLIENT_PER_HOUR": PER_CLIENT}
    async with running(database, valkey, tmp_path_factory.mktemp("home"), **limits) as client:
        yield client


class Guesser:
    """Somebody at a network address of their own."""

    def __init__(self, client: Client, address: str = "") -> None:
        tail = uuid4().int % 2**16
        self._client = client
        self.metadata = ((METADATA_KEY, address or f"2001:db8:{tail:x}:{uuid4().int % 2**16:x}::1"),)

    async def sign_in(self, login: str, password: str) -> str:
        """Try to sign in and return how that ended."""
        return await self.ended(
            self._client.auth.Login(auth_pb.LoginRequest(login=login, password=password), metadata=self.metadata)
        )

    async def forget(self, email: str) -> str:
        """Ask for a code and return how that ended."""
        request = auth_pb.ForgotPasswordRequest(email=email)
        return await self.ended(self._client.auth.ForgotPassword(request, metadata=self.metadata))

    async def register(self) -> str:
        """Register a stranger's address and return how that ended."""
        name = f"ann-{uuid4().hex}"
        request = auth_pb.RegisterRequest(email=f"{name}@victims.example", username=name, password=PASSWORD)
        return await self.ended(self._client.auth.Register(request, metadata=self.metadata))

    async def ended(self, call: Awaitable[object]) -> str:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"


def somebody() -> str:
    return f"nobody-{uuid4().hex}"


async def test_one_address_tries_so_often_whomever_it_tries(client: Client) -> None:
    guesser = Guesser(client)
    ends = [await guesser.sign_in(somebody(), "guess") for _ in range(PER_ADDRESS + 2)]
    assert ends == ["UNAUTHENTICATED"] * PER_ADDRESS + ["RESOURCE_EXHAUSTED"] * 2
    assert await guesser.forget("a@example.org") == "RESOURCE_EXHAUSTED"
    assert await Guesser(client).sign_in(somebody(), "guess") == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "rpc", ["Register", "ForgotPassword", "ResetPassword", "ResendVerification", "VerifyEmail", "AcceptInvitation"]
)
async def test_one_address_tries_so_often_whatever_it_tries(client: Client, rpc: str) -> None:
    guesser = Guesser(client)
    for _ in range(PER_ADDRESS):
        await guesser.sign_in(somebody(), "guess")
    # Somebody who exists: what is refused is the address, before anything is looked at.
    user = await client.register()
    token = (await client.sign_in(user.email)).access_token
    requests: dict[str, Any] = {
        "Register": auth_pb.RegisterRequest(email=f"{somebody()}@a.org", username=somebody(), password=PASSWORD),
        "ForgotPassword": auth_pb.ForgotPasswordRequest(email=user.email),
        "ResetPassword": auth_pb.ResetPasswordRequest(email=user.email, code="12345678", password=f"{PASSWORD}!"),
        "ResendVerification": auth_pb.ResendVerificationRequest(email=user.email),
        "VerifyEmail": auth_pb.VerifyEmailRequest(email=user.email, code="12345678"),
        "AcceptInvitation": organization_pb.AcceptInvitationRequest(token="guess"),
    }
    stub = client.organizations if rpc == "AcceptInvitation" else client.auth
    metadata = (*guesser.metadata, *bearer(token))
    assert await guesser.ended(getattr(stub, rpc)(requests[rpc], metadata=metadata)) == "RESOURCE_EXHAUSTED"
    elsewhere = (*Guesser(client).metadata, *bearer(token))
    assert await guesser.ended(getattr(stub, rpc)(requests[rpc], metadata=elsewhere)) != "RESOURCE_EXHAUSTED"


async def test_an_account_is_tried_so_often_from_wherever(client: Client) -> None:
    user = await client.register()
    for _ in range(PER_ACCOUNT):
        assert await Guesser(client).sign_in(user.email, "guess") == "UNAUTHENTICATED"
    # The right password does not get in either, or guessing on would pay.
    for login in (user.email, user.email.upper(), f" {user.email}"):
        assert await Guesser(client).sign_in(login, PASSWORD) == "RESOURCE_EXHAUSTED"


async def test_whether_there_is_an_account_makes_no_difference(client: Client) -> None:
    user, nobody = await client.register(), somebody()
    ends = [
        [await Guesser(client).sign_in(login, "guess") for _ in range(PER_ACCOUNT + 1)]
        for login in (user.username, nobody)
    ]
    assert ends[0] == ends[1]
    mails = [[await Guesser(client).forget(email) for _ in range(3)] for email in (user.email, f"{nobody}@a.org")]
    assert mails[0] == mails[1] == ["OK", "OK", "RESOURCE_EXHAUSTED"]


async def test_the_right_password_begins_the_count_anew(client: Client) -> None:
    user = await client.register()
    for _ in range(3):
        for _ in range(PER_ACCOUNT - 1):
            assert await Guesser(client).sign_in(user.email, "guess") == "UNAUTHENTICATED"
        assert await Guesser(client).sign_in(user.email, PASSWORD) == "OK"


async def test_a_further_try_does_not_make_the_wait_longer(valkey: Redis) -> None:
    attempts, bucket = ValkeyAttempts(valkey), f"account:{somebody()}"
    assert await attempts.add(bucket, Limit(2, 600)) == 0
    (key,) = [key async for key in valkey.scan_iter(f"*{sha256(bucket.encode()).hexdigest()}")]
    await valkey.pexpire(key, 60_000)
    assert await attempts.add(bucket, Limit(2, 600)) == 0
    for _ in range(3):
        assert 0 < await attempts.add(bucket, Limit(2, 600)) <= 60


async def test_a_network_of_addresses_counts_as_one(client: Client) -> None:
    network = f"2001:db8:{uuid4().int % 2**16:x}:{uuid4().int % 2**16:x}"
    ends = [await Guesser(client, f"{network}::{tail:x}").sign_in(somebody(), "x") for tail in range(PER_ADDRESS + 1)]
    assert ends[-1] == "RESOURCE_EXHAUSTED"


async def test_the_refusal_says_when_to_come_back(client: Client) -> None:
    guesser, nobody = Guesser(client), somebody()
    for _ in range(PER_ACCOUNT):
        await Guesser(client).sign_in(nobody, "guess")
    request = auth_pb.LoginRequest(login=nobody, password="guess")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.auth.Login(request, metadata=guesser.metadata)
    trailers = dict(refused.value.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    retry = error_details_pb2.RetryInfo()
    assert status.details[-1].Unpack(retry)
    assert 0 < retry.retry_delay.ToTimedelta().total_seconds() <= 900


async def test_one_address_has_only_so_many_mails_sent_to_whomever_they_go(client: Client) -> None:
    sender = Guesser(client)
    ends = [await sender.register() for _ in range(PER_CLIENT + 1)]
    assert ends == ["OK"] * PER_CLIENT + ["RESOURCE_EXHAUSTED"]
    assert await Guesser(client).register() == "OK"
    other = Guesser(client)
    ends = [await other.forget(f"{somebody()}@a.org") for _ in range(PER_CLIENT + 1)]
    assert ends == ["OK"] * PER_CLIENT + ["RESOURCE_EXHAUSTED"]
