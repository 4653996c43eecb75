"""When a session ends, whatever is open in it ends too, on every face and within a second or two."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest
from parley.conversations.v1 import run_service_pb2, run_service_pb2_grpc
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.callers import PASSWORD, Edge, Person, grpc_bearer
from tests.support.mailbox import verify
from tests.support.running_mesh import RunningMesh

SOON_SECONDS = 5.0
# At 20 ms a word it says on for more than a minute.
LONG = "word " * 4000

Ender = Callable[[Person, Person], Awaitable[Any]]


async def log_out(person: Person, _admin: Person) -> None:
    await person.post("/api/v1/auth/logout")


async def log_out_everywhere(person: Person, _admin: Person) -> None:
    other = await person.edge.person(person.user["email"])
    await other.post("/api/v1/auth/logout-everywhere")


async def revoke_the_session(person: Person, _admin: Person) -> None:
    sessions = (await person.get("/api/v1/auth/sessions"))["sessions"]
    await person.delete(f"/api/v1/auth/sessions/{sessions[0]['id']}")


async def change_the_password(person: Person, _admin: Person) -> None:
    other = await person.edge.person(person.user["email"])
    await other.post("/api/v1/auth/change-password", currentPassword=PASSWORD, password=PASSWORD + " anew")


async def disable(person: Person, admin: Person) -> None:
    await admin.post(f"/api/v1/admin/users/{person.id}:disable")


ENDERS = [log_out, log_out_everywhere, revoke_the_session, change_the_password, disable]


@asynccontextmanager
async def socket_of(edge: Edge, token: str, channel: str = "") -> AsyncIterator[ClientConnection]:
    """Open a socket, and subscribe to a channel on it."""
    url = edge.url.replace("http://", "ws://") + "/connection/websocket"
    async with connect(url, proxy=None) as socket:
        await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
        assert "connect" in json.loads(await socket.recv())
        if channel:
            await socket.send(json.dumps({"id": 2, "subscribe": {"channel": channel}}))
        yield socket


async def closing(socket: ClientConnection) -> int:
    """Read until the server closes and return its code."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed:
        return socket.close_code or 0


def followed(edge: Edge, run: str, metadata: tuple[tuple[str, str], ...]) -> Any:
    conversation_id, _, run_id = run.removeprefix("/api/v1/chat/conversations/").partition("/runs/")
    request = run_service_pb2.StreamRunRequest(conversation_id=conversation_id, run_id=run_id)
    return run_service_pb2_grpc.RunServiceStub(edge.channel).StreamRun(request, metadata=metadata)


async def status(call: Any) -> grpc.StatusCode:
    """Read a call to its end and return how it ended."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def last_line(edge: Edge, path: str, headers: dict[str, str], begun: asyncio.Event) -> str:
    """Read a REST stream to its end and return its last line; `begun` is set once it has begun."""
    line = ""
    async with edge.http.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        begun.set()
        async for one in response.aiter_lines():
            line = one or line
    return line


@pytest.mark.parametrize("end", ENDERS, ids=lambda end: str(end.__name__))
async def test_everything_ends_with_its_session(edge: Edge, admin: Person, stranger: Person, end: Ender) -> None:
    person = await edge.register()
    run = await person.say(await person.open_conversation(), LONG)
    channel = "run:" + run.removeprefix("/api/v1/chat/conversations/").replace("/runs/", "/")
    sse = person.headers | {"accept": "text/event-stream"}
    async with (
        socket_of(edge, person.token) as idle,
        socket_of(edge, person.token, channel) as reading,
        socket_of(edge, stranger.token) as bystander,
        asyncio.timeout(30),
    ):
        call = followed(edge, run, person.metadata)
        await call.read()
        stream, watch = f"{run}:stream", "/api/v1/auth/session:watch?maxSeconds=60"
        asked = [(stream, person.headers), (stream, sse), (watch, person.headers)]
        begun = [asyncio.Event() for _ in asked]
        lines = [asyncio.create_task(last_line(edge, *one, event)) for one, event in zip(asked, begun, strict=True)]
        await asyncio.gather(*(event.wait() for event in begun))
        await reading.recv()
        await end(person, admin)
        async with asyncio.timeout(SOON_SECONDS):
            assert await closing(idle) == 3500
            assert await closing(reading) == 3500
            assert await status(call) is grpc.StatusCode.UNAUTHENTICATED
            for line in await asyncio.gather(*lines):
                assert '"code":16' in line.replace(" ", "")
        await bystander.send(json.dumps({"id": 9, "ping": {}}))
        assert json.loads(await bystander.recv()) == {"id": 9, "ping": {}}


async def test_another_session_of_the_same_person_goes_on(edge: Edge, ada: Person) -> None:
    other = await edge.person(ada.user["email"])
    async with socket_of(edge, ada.token) as first, socket_of(edge, other.token) as second, asyncio.timeout(20):
        await other.post("/api/v1/auth/logout")
        assert await closing(second) == 3500
        await first.send(json.dumps({"id": 9, "ping": {}}))
        assert json.loads(await first.recv()) == {"id": 9, "ping": {}}


async def test_a_stream_of_an_api_key_ends_with_the_key(mesh: RunningMesh, edge: Edge, ada: Person) -> None:
    await verify(ada, mesh.home)
    made = await ada.post("/api/v1/api-keys", name="reader", scopes=["conversations.read"])
    key = str(made["secret"])
    call = followed(edge, await ada.say(await ada.open_conversation(), LONG), grpc_bearer(key))
    await call.read()
    await ada.delete(f"/api/v1/api-keys/{made['apiKey']['id']}")
    async with asyncio.timeout(SOON_SECONDS):
        assert await status(call) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_socket_watches_the_session_of_the_token_that_it_shows_last(edge: Edge, ada: Person) -> None:
    other = await edge.person(ada.user["email"])
    async with socket_of(edge, ada.token) as socket, asyncio.timeout(20):
        await socket.send(json.dumps({"id": 2, "refresh": {"token": other.token}}))
        assert "refresh" in json.loads(await socket.recv())
        await ada.post("/api/v1/auth/logout")
        await socket.send(json.dumps({"id": 3, "ping": {}}))
        assert json.loads(await socket.recv()) == {"id": 3, "ping": {}}
        await other.post("/api/v1/auth/logout")
        assert await closing(socket) == 3500


async def test_another_persons_token_ends_the_socket(edge: Edge, ada: Person, stranger: Person) -> None:
    async with socket_of(edge, ada.token) as socket, asyncio.timeout(20):
        await socket.send(json.dumps({"id": 2, "refresh": {"token": stranger.token}}))
        assert await closing(socket) == 3500


async def test_looking_at_a_session_ends_at_once(edge: Edge, ada: Person) -> None:
    shown: httpx.Response = await ada.ask("GET", "/api/v1/auth/session:watch")
    assert shown.json()["result"]["sessionId"]
