"""WebSockets at the edge: one path, no token rule, both ways."""

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from tests.deploy.running_envoy import House

PATH = "/connection/websocket"


async def _repeat(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


async def test_a_socket_needs_no_token_to_open(house: House) -> None:
    url = f"ws://127.0.0.1:{house.edge}{PATH}"
    async with (
        serve(_repeat, "127.0.0.1", house.websocket),
        connect(url, proxy=None, close_timeout=0.1) as socket,
    ):
        for message in ("first", b"second", "x" * 60_000):
            await socket.send(message)
            assert await socket.recv() == message


@pytest.mark.parametrize("path", ["/", "/health", f"{PATH}/", "/api/v1/auth/login"])
async def test_no_other_path_opens_one(house: House, path: str) -> None:
    with pytest.raises(InvalidStatus) as raised:
        await connect(f"ws://127.0.0.1:{house.edge}{path}", proxy=None)
    assert raised.value.response.status_code in (401, 403)


async def test_without_the_adapter_the_path_is_unavailable(edge: httpx.AsyncClient) -> None:
    response = await edge.get(PATH)
    assert (response.status_code, response.json()["code"]) == (503, 14)
