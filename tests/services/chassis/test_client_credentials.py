"""A service's tokens from a token endpoint: kept, renewed in time, asked for once however many wait."""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from services.chassis import client_credentials
from services.chassis.client_credentials import ClientCredentials
from services.chassis.errors import ServiceTokenUnavailable
from services.chassis.secrets import FixedSecret, SecretStore


@dataclass
class Endpoint:
    """What it answers, and what it was asked."""

    url: str = ""
    secret: str = "s3cret"
    status: int = 200
    expires_in: float = 300
    asked: list[tuple[str, str]] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)


@contextmanager
def running_endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    endpoint.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["content-length"])).decode()
            client = base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()
            endpoint.asked.append((client, form))
            endpoint.open.wait(10)
            body = json.dumps({"access_token": f"token-{len(endpoint.asked)}", "expires_in": endpoint.expires_in})
            self.send_response(endpoint.status if client.endswith(f":{endpoint.secret}") else 401)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/token"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True, slots=True)
class _Table:
    """A source of secrets that are in a table."""

    secrets: dict[str, str]

    async def read(self, name: str) -> SecretStr:
        """See SecretSource."""
        return SecretStr(self.secrets[name])


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with running_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def credentials(endpoint: Endpoint) -> ClientCredentials:
    return ClientCredentials(endpoint.url, "parley-conversations", FixedSecret("s3cret"))


async def test_one_token_serves_many_calls(credentials: ClientCredentials, endpoint: Endpoint) -> None:
    assert {await credentials.token() for _ in range(50)} == {"token-1"}
    assert endpoint.asked == [("parley-conversations:s3cret", "grant_type=client_credentials")]


async def test_many_who_wait_make_one_request(credentials: ClientCredentials, endpoint: Endpoint) -> None:
    endpoint.open.clear()
    waiting = [asyncio.create_task(credentials.token()) for _ in range(50)]
    waiting[0].cancel()
    await asyncio.sleep(0)
    endpoint.open.set()
    assert set(await asyncio.gather(*waiting[1:])) == {"token-1"}
    assert len(endpoint.asked) == 1


async def test_a_token_is_renewed_beside_the_calls_that_still_use_it(
    credentials: ClientCredentials, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_credentials, "_RENEWED_AT", 1.0)
    monkeypatch.setattr(client_credentials, "_RETRY_SECONDS", 0.0)
    assert await credentials.token() == "token-1"
    endpoint.open.clear()
    # The endpoint hangs: nobody waits for it.
    assert await asyncio.wait_for(credentials.token(), 2) == "token-1"
    endpoint.open.set()
    async with asyncio.timeout(5):
        while await credentials.token() == "token-1":
            await asyncio.sleep(0.01)


async def test_a_token_that_is_good_outlives_an_issuer_that_is_away(
    credentials: ClientCredentials, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_credentials, "_RENEWED_AT", 1.0)
    monkeypatch.setattr(client_credentials, "_RETRY_SECONDS", 0.0)
    assert await credentials.token() == "token-1"
    endpoint.status = 503
    async with asyncio.timeout(5):
        while len(endpoint.asked) < 3:
            assert await credentials.token() == "token-1"
            await asyncio.sleep(0.01)


async def test_a_secret_that_is_refused_is_looked_up_again_at_once(endpoint: Endpoint) -> None:
    file = {"inference/keycloak-client-secret": "s3cret"}
    store = SecretStore(_Table(file), 3600)
    credentials = ClientCredentials(endpoint.url, "parley-inference", await store.hold(next(iter(file))))
    endpoint.secret = file["inference/keycloak-client-secret"] = "changed"
    assert await credentials.token() == "token-2"
    assert [client for client, _ in endpoint.asked] == ["parley-inference:s3cret", "parley-inference:changed"]


async def test_without_a_token_there_is_a_clear_failure_and_no_flood(
    credentials: ClientCredentials, endpoint: Endpoint
) -> None:
    endpoint.status = 401
    for _ in range(20):
        with pytest.raises(ServiceTokenUnavailable) as raised:
            await credentials.token()
        assert "s3cret" not in str(raised.value)
    assert len(endpoint.asked) == 1


async def test_a_token_about_to_expire_is_not_handed_out(credentials: ClientCredentials, endpoint: Endpoint) -> None:
    endpoint.expires_in = 2
    with pytest.raises(ServiceTokenUnavailable):
        await credentials.token()
