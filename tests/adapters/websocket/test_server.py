"""The adapter itself, on a socket of its own, with nothing behind it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.websocket.server import WebSocketServer
from adapters.websocket.settings import WebSocketSettings

NOBODY = "127.0.0.1:1"


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[int]:
    """Run the adapter and yield its port; at the end it drains."""
    server = WebSocketServer(WebSocketSettings(listen="127.0.0.1:0", upstream=NOBODY, drain_seconds=2, **settings))
    stop, started = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(server.run(stop, started=started))
    await started.wait()
    try:
        yield server.port
    finally:
        stop.set()
        await asyncio.wait_for(serving, 5)


def opened(port: int, **options: Any) -> connect:
    """Open a socket."""
    return connect(f"ws://127.0.0.1:{port}/connection/websocket", proxy=None, **options)


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """Wait until the server closes, and return how."""
    async with asyncio.timeout(5):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code or 0, socket.close_reason or ""


def token(seconds: int) -> str:
    """Make a token that nobody will accept."""
    return jwt.encode({"exp": int(time.time()) + seconds}, "k" * 32, algorithm="HS256")


async def test_pages_beside_the_socket() -> None:
    async with running() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        health = await http.get("/health")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        assert (await http.get("/other")).status_code == 404
        assert (await http.get("/connection/websocket")).status_code == 426


@pytest.mark.parametrize(
    ("environment", "origin", "is_admitted"),
    [
        ("development", "http://localhost:3000", True),
        ("development", "http://127.0.0.1", True),
        ("development", "https://evil.example", False),
        ("development", "http://localhost.evil.example", False),
        ("production", "http://localhost:3000", False),
        ("production", "https://app.example", True),
        ("production", "https://app.example.evil", False),
        ("production", "https://dev.example:8443", True),
        ("production", "null", False),
        ("production", "http://HOST", True),
    ],
)
async def test_pages_of_strangers_may_not_connect(environment: Any, origin: str, is_admitted: bool) -> None:
    async with running(environment=environment, origins="https://app.example, https://dev.example:*") as port:
        headers = {"origin": origin.replace("HOST", f"127.0.0.1:{port}")}
        if is_admitted:
            async with opened(port, additional_headers=headers):
                return
        with pytest.raises(InvalidStatus) as raised:
            await opened(port, additional_headers=headers)
        assert raised.value.response.status_code == 403


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("nonsense", 3501),
        ('{"id":1,"rpc":{"method":"m"}}', 3501),
        ('{"id":1,"connect":{"token":1}}', 3501),
        ('{"id":1,"connect":{}}', 3500),
        ('{"id":1,"connect":{"token":"nonsense"}}', 3500),
        ("x" * 65_537, 1009),
    ],
)
async def test_who_breaks_the_protocol_is_disconnected(frame: str, code: int) -> None:
    async with running() as port, opened(port) as socket:
        await socket.send(frame)
        assert (await closed(socket))[0] == code


async def test_an_expired_token_is_told_from_a_wrong_one() -> None:
    async with running() as port, opened(port) as socket:
        await socket.send(json.dumps({"id": 7, "connect": {"token": token(-5)}}))
        assert json.loads(await socket.recv()) == {"id": 7, "error": {"code": 109, "message": "token expired"}}


async def test_while_nobody_can_check_a_token_the_client_may_try_again() -> None:
    async with running() as port, opened(port) as socket:
        await socket.send(json.dumps({"id": 7, "connect": {"token": token(60)}}))
        error = json.loads(await socket.recv())["error"]
        assert (error["code"], error["temporary"]) == (100, True)


async def test_a_socket_that_says_nothing_is_closed() -> None:
    async with running(connect_seconds=0.1) as port, opened(port) as socket:
        assert await closed(socket) == (3502, "stale")


async def test_an_address_has_so_many_sockets_at_most() -> None:
    def seen_at(address: str) -> dict[str, str]:
        return {"x-envoy-external-address": address}

    async with running(max_sockets_per_address=2) as port:
        first, second = [await opened(port, additional_headers=seen_at("192.0.2.1")) for _ in range(2)]
        async with opened(port, additional_headers=seen_at("192.0.2.1")) as third:
            assert await closed(third) == (3504, "connection limit")
        async with opened(port, additional_headers=seen_at("192.0.2.2")):
            pass
        await first.close()
        code = 3504
        async with asyncio.timeout(5):
            while code == 3504:  # the server learns a little later that the first has left
                async with opened(port, additional_headers=seen_at("192.0.2.1")) as fourth:
                    with suppress(ConnectionClosed):
                        await fourth.send("nonsense")
                    code, _ = await closed(fourth)
        assert code == 3501
        await second.close()


async def test_on_the_way_down_clients_are_asked_to_come_back() -> None:
    async with running() as port:
        sockets = [await opened(port) for _ in range(20)]
    for socket in sockets:
        push = json.loads(await socket.recv())["push"]
        assert push == {"disconnect": {"code": 3001, "reason": "shutdown", "reconnect": True}}
        assert await closed(socket) == (3001, "shutdown")
