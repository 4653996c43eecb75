"""A house with the default limits and a mail server of its own, which is away at first."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc

from tests.support.callers import PASSWORD, edge_of, refusal
from tests.support.polling import until
from tests.support.running_mesh import RunningMesh, running_mesh
from tests.support.stores import free_port

SMTP_PORT = free_port()
DEFAULT_LIMIT = 10


@dataclass
class Inbox:
    """What a mail server took, by address."""

    taken: dict[str, str] = field(default_factory=dict)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        message = message_from_bytes(content, policy=policy.default)
        self.taken[str(message["To"])] = str(message.get_content())
        return "250 OK"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """The house."""
    with running_mesh(
        tmp_path_factory.mktemp("limited"),
        identity_attempts_per_address=DEFAULT_LIMIT,
        identity_smtp_host="127.0.0.1",
        identity_smtp_port=SMTP_PORT,
        identity_smtp_security="none",
    ) as house:
        yield house


async def test_what_was_accepted_while_the_mail_server_was_away_is_sent_later(house: RunningMesh) -> None:
    name = f"ann-{uuid4().hex[:12]}"
    async with edge_of(house.url) as edge:
        person = await edge.register(username=name, email=f"{name}@example.org")
    email = person.user["email"]
    until(lambda: "identity_mail" in house.log("worker"), seconds=20, what="a first try to send the mail")
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=SMTP_PORT)
    controller.start()
    try:
        until(lambda: email in inbox.taken, seconds=60, what="the mail")
    finally:
        controller.stop()
    assert "your code is" in inbox.taken[email]
    code = inbox.taken[email].partition("your code is ")[2][:8]
    async with edge_of(house.url) as edge:
        verified = await edge.http.post("/api/v1/auth/verify-email", json={"email": email, "code": code})
    assert verified.status_code == 200
    assert all(code not in house.log(part) for part in house.parts)


async def test_one_address_guesses_so_often_over_rest_and_grpc_together(house: RunningMesh) -> None:
    async with edge_of(house.url) as edge:
        stub = auth_service_pb2_grpc.AuthServiceStub(edge.channel)

        async def by_rest(forged: str) -> int:
            body = {"login": uuid4().hex, "password": PASSWORD}
            headers = {"x-envoy-external-address": forged, "x-forwarded-for": forged}
            return (await edge.http.post("/api/v1/auth/login", json=body, headers=headers)).status_code

        async def by_grpc(forged: str) -> int:
            request = auth_service_pb2.LoginRequest(login=uuid4().hex, password=PASSWORD)
            metadata = (("x-envoy-external-address", forged), ("x-forwarded-for", forged))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Login(request, metadata=metadata)
            return {grpc.StatusCode.UNAUTHENTICATED: 401, grpc.StatusCode.RESOURCE_EXHAUSTED: 429}[refused.value.code()]

        ends = [await call(f"203.0.113.{turn}") for turn in range(DEFAULT_LIMIT) for call in (by_rest, by_grpc)]
        # Some of the window may have been used before; whatever address is forged, it ends.
        assert ends.count(401) <= DEFAULT_LIMIT
        assert ends[-4:] == [429] * 4
        response = await edge.http.post("/api/v1/auth/forgot-password", json={"email": "a@example.org"})
        refusal(response, 429, 8, reason="TOO_MANY_ATTEMPTS")
        assert 0 < int(response.headers["retry-after"]) <= 60
    # Who calls from elsewhere is not kept out.
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(transport=elsewhere, base_url=house.url) as other:
        body = {"login": uuid4().hex, "password": PASSWORD}
        refusal(await other.post("/api/v1/auth/login", json=body), 401, 16, reason="INVALID_CREDENTIALS")
