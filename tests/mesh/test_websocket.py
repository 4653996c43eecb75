"""Chatting over a WebSocket, with a client that other people wrote: centrifuge-python, unmodified."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from centrifuge import CentrifugeError, Client, ReplyError, SubscriptionState  # type: ignore[import-untyped]
from centrifuge.contexts import DisconnectedContext, PublicationContext, SubscribedContext, UnsubscribedContext  # type: ignore[import-untyped]
from centrifuge.handlers import ClientEventHandler, SubscriptionEventHandler  # type: ignore[import-untyped]
from parley.conversations.v1.message_service_pb2 import SendMessageRequest
from parley.conversations.v1.message_service_pb2_grpc import MessageServiceStub
from websockets.asyncio.client import ClientConnection, connect

from tests.support.callers import PASSWORD, Edge, Event, Person
from tests.support.polling import until
from tests.support.running_mesh import RunningMesh

LIST = "parley.conversations.v1.MessageService/ListMessages"
SEND = "parley.conversations.v1.MessageService/SendMessage"
NOWHERE = "01a1fe2f-9346-70b2-a745-946de94cd37f"
TEN_WORDS = "one two three four five six seven eight nine ten"


class Reader(SubscriptionEventHandler):  # type: ignore[misc]
    """Keeps what a subscription brings."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.data: list[Any] = []
        self.subscribed: list[SubscribedContext] = []
        self.ended: asyncio.Future[UnsubscribedContext] = asyncio.get_running_loop().create_future()
        self.grown = asyncio.Condition()

    async def on_subscribed(self, ctx: SubscribedContext) -> None:
        """Note that it begins, or goes on."""
        self.subscribed.append(ctx)

    async def on_publication(self, ctx: PublicationContext) -> None:
        """Keep an event."""
        async with self.grown:
            self.offsets.append(ctx.pub.offset)
            self.data.append(ctx.pub.data)
            self.grown.notify_all()

    async def on_unsubscribed(self, ctx: UnsubscribedContext) -> None:
        """Note that it is over."""
        self.ended.set_result(ctx)

    async def end(self) -> UnsubscribedContext:
        """Wait for the end and return how it came."""
        return await asyncio.wait_for(self.ended, 10)

    async def wait_for(self, many: int) -> None:
        """Wait for so many events."""
        async with self.grown, asyncio.timeout(10):
            await self.grown.wait_for(lambda: len(self.offsets) >= many)

    @property
    def events(self) -> list[Event]:
        """The events, as the other faces show them."""
        return [event_of(data) for data in self.data]


class Leaver(ClientEventHandler):  # type: ignore[misc]
    """Notes how a connection ends."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[DisconnectedContext] = asyncio.get_running_loop().create_future()

    async def on_disconnected(self, ctx: DisconnectedContext) -> None:
        if not self.ended.done():
            self.ended.set_result(ctx)


def event_of(data: Any) -> Event:
    ((kind, content),) = ((name, value) for name, value in data.items() if name != "sequence")
    return Event(data["sequence"], kind, content)


def address(edge: Edge) -> str:
    return edge.url.replace("http://", "ws://") + "/connection/websocket"


@asynccontextmanager
async def connected(edge: Edge, token: str) -> AsyncIterator[Client]:
    client = Client(address(edge), token=token, proxy=None)
    await client.connect()
    try:
        await client.ready(10)
        yield client
    finally:
        open_socket = client._conn
        await client.disconnect()
        if open_socket is not None:
            await open_socket.wait_closed()


async def listen(client: Client, run: str) -> Reader:
    """Subscribe to the run at a REST path."""
    conversation_id, _, run_id = run.removeprefix("/api/v1/chat/conversations/").partition("/runs/")
    reader = Reader()
    await client.new_subscription(f"run:{conversation_id}/{run_id}", events=reader).subscribe()
    return reader


async def refused(edge: Edge, token: str) -> int:
    leaver = Leaver()
    client = Client(address(edge), token=token, events=leaver, proxy=None)
    await client.connect()
    return int((await asyncio.wait_for(leaver.ended, 10)).code)


async def test_nobody_connects_with_a_token_that_is_not_good(edge: Edge, ada: Person) -> None:
    head, claims, signature = ada.token.split(".")
    forged = f"{head}.{claims}.{signature[:-8]}{signature[-8:].swapcase()}"
    for token in ("", "nonsense", forged, str(ada.tokens["refreshToken"])):
        assert await refused(edge, token) == 3500


async def test_a_conversation_over_one_socket(edge: Edge, ada: Person) -> None:
    conversation_id = (await ada.open_conversation()).rpartition("/")[2]
    async with connected(edge, ada.token) as client:
        sent = (await client.rpc(SEND, {"conversationId": conversation_id, "text": TEN_WORDS})).data
        assert sent["message"]["text"] == TEN_WORDS
        run_id = sent["run"]["id"]
        reader = await listen(client, f"{conversation_id}/runs/{run_id}")
        assert (await reader.end()).code == 2000
    assert reader.offsets == list(range(1, len(reader.offsets) + 1))
    assert [event.sequence for event in reader.events] == reader.offsets
    assert [event.kind for event in reader.events] == ["started", *["delta"] * 12, "completed"]
    assert "".join(event.delta for event in reader.events) == f"You said: {TEN_WORDS}"
    position = reader.subscribed[0].stream_position
    assert position is not None
    assert (position.epoch, reader.subscribed[0].recoverable) == (run_id, True)


async def test_every_face_shows_the_same_events(edge: Edge, ada: Person) -> None:
    run = await ada.say(await ada.open_conversation(), TEN_WORDS)
    async with connected(edge, ada.token) as first, connected(edge, ada.token) as second:
        readers = [await listen(client, run) for client in (first, second)]
        shown = await ada.hear(run, sse=True)
        for reader in readers:
            await reader.end()
            assert reader.events == shown
            assert reader.offsets == [event.sequence for event in shown]


async def test_after_a_lost_connection_the_rest_comes_once(edge: Edge, ada: Person) -> None:
    run = await ada.say(await ada.open_conversation(), f"{TEN_WORDS} " * 5)
    async with connected(edge, ada.token) as client:
        reader = await listen(client, run)
        for many in (5, 20):
            await reader.wait_for(many)
            assert client._conn is not None
            client._conn.transport.abort()
        await reader.end()
    assert reader.events == await ada.hear(run)
    assert reader.offsets == list(range(1, len(reader.offsets) + 1))
    assert [context.was_recovering for context in reader.subscribed] == [False, True, True]
    assert [context.recovered for context in reader.subscribed] == [False, True, True]


async def test_the_position_in_another_run_counts_for_nothing(edge: Edge, ada: Person) -> None:
    conversation = await ada.open_conversation()
    first, second = [await ada.say(conversation, TEN_WORDS) for _ in range(2)]
    shown = await ada.hear(second)
    async with opened_with(edge, ada.token) as socket:
        channel = "run:" + second.removeprefix("/api/v1/chat/conversations/").replace("/runs/", "/")
        position = {"recover": True, "epoch": first.rpartition("/")[2], "offset": 5}
        await socket.send(json.dumps({"id": 2, "subscribe": {"channel": channel, **position}}))
        pushes: list[Any] = []
        while len(pushes) <= len(shown):
            pushes += [json.loads(line) for line in str(await socket.recv()).splitlines()]
    assert pushes[0]["subscribe"]["recovered"] is False
    offsets = [push["push"]["pub"]["offset"] for push in pushes[1:] if "pub" in push.get("push", {})]
    assert offsets == [event.sequence for event in shown]


async def test_a_run_that_has_ended_is_told_from_its_first_event(edge: Edge, ada: Person) -> None:
    run = await ada.say(await ada.open_conversation(), "short")
    shown = await ada.hear(run)
    async with connected(edge, ada.token) as client:
        reader = await listen(client, run)
        await reader.end()
        assert reader.events == shown


async def test_a_stranger_gets_nothing(edge: Edge, ada: Person, stranger: Person) -> None:
    run = await ada.say(await ada.open_conversation(), TEN_WORDS)
    async with connected(edge, stranger.token) as client:
        reader = await listen(client, run)
        assert (await reader.end()).code == 103
        assert not reader.data
        nothing = Reader()
        await client.new_subscription("run:of/nobody", events=nothing).subscribe()
        assert (await nothing.end()).code == 102


async def test_a_subscription_can_be_given_up(edge: Edge, ada: Person) -> None:
    run = await ada.say(await ada.open_conversation(), f"{TEN_WORDS} " * 3)
    async with connected(edge, ada.token) as client:
        reader = await listen(client, run)
        await reader.wait_for(3)
        (subscription,) = client.subscriptions().values()
        await subscription.unsubscribe()
        await client.rpc("parley.identity.v1.AuthService/GetMe", {})
        heard = len(reader.data)
        await ada.hear(run)
        assert len(reader.data) == heard
        assert subscription.state is SubscriptionState.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("method", "data", "code"),
    [
        ("parley.conversations.v1.ConversationService/GetConversation", {"conversationId": NOWHERE}, 5),
        (SEND, {"conversationId": "nonsense", "text": "x"}, 3),
        (SEND, {"conversationId": 5}, 3),
        (SEND, [], 3),
        ("parley.conversations.v1.RunService/StreamRun", {}, 104),
        ("parley.inference.v1.GenerationService/Generate", {}, 104),
        ("grpc.health.v1.Health/Check", {}, 104),
        ("parley.identity.v1.UserService/GetUser", {"userId": NOWHERE}, 7),
        ("", {}, 104),
    ],
)
async def test_a_call_that_fails_says_why(edge: Edge, ada: Person, method: str, data: Any, code: int) -> None:
    async with connected(edge, ada.token) as client:
        with pytest.raises(ReplyError) as raised:
            await client.rpc(method, data)
        assert raised.value.code == code
        assert raised.value.message


async def test_what_is_not_offered_is_refused(edge: Edge, ada: Person) -> None:
    async with connected(edge, ada.token) as client:
        with pytest.raises(CentrifugeError, match="not available"):
            await client.publish("run:of/nobody", {})


async def test_who_does_not_read_is_cut_off_and_nobody_else_waits(mesh: RunningMesh, edge: Edge, ada: Person) -> None:
    conversation = await ada.open_conversation()
    for _ in range(4):
        await ada.post(f"{conversation}/messages", text="x" * 32_000)
    asked = {"method": LIST, "data": {"conversationId": conversation.rpartition("/")[2]}}
    port, deaf = mesh.port_of("websocket"), socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", port))
    url = f"ws://127.0.0.1:{port}/connection/websocket"
    async with connect(url, proxy=None, sock=deaf, max_queue=1, max_size=None, close_timeout=0.1) as slow:
        await slow.send(json.dumps({"id": 1, "connect": {"token": ada.token}}))
        client_id = json.loads(await slow.recv())["connect"]["client"]
        async with connected(edge, ada.token) as client:
            for number in range(2, 66):
                await slow.send(json.dumps({"id": number, "rpc": asked}))
            began = time.monotonic()
            reader = await listen(client, await ada.say(await ada.open_conversation(), TEN_WORDS))
            await reader.end()
            assert time.monotonic() - began < 5
            assert reader.offsets == list(range(1, 15))
        said = f"client {client_id} is disconnected: 3008 slow"
        await asyncio.to_thread(until, lambda: said in mesh.log("websocket"), seconds=10, what=said)


async def test_services_see_where_the_client_of_a_socket_is(edge: Edge, ada: Person) -> None:
    forged = dict.fromkeys(("x-envoy-external-address", "x-forwarded-for", "x-real-ip"), "203.0.113.9")
    login = {"login": ada.user["email"], "password": PASSWORD}
    for place in ("127.0.0.7", "127.0.0.8"):
        async with (
            connect(address(edge), proxy=None, local_addr=(place, 0), additional_headers=forged) as opened,
            asyncio.timeout(20),
        ):
            await opened.send(json.dumps({"id": 1, "connect": {"token": ada.token}}))
            await opened.recv()
            call = {"method": "parley.identity.v1.AuthService/Login", "data": login}
            await opened.send(json.dumps({"id": 2, "rpc": call}))
            assert "accessToken" in json.loads(await opened.recv())["rpc"]["data"]
    listed = (await ada.get("/api/v1/auth/sessions"))["sessions"]
    assert {session["address"] for session in listed} == {"127.0.0.1", "127.0.0.7", "127.0.0.8"}


def escaped(text: str) -> str:
    """Return the text as JSON in which every character is escaped."""
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


LARGEST = {"vietnamese": "\u1ed9" * 10_922, "ascii": "a" * 32_768, "emoji": "\U0001f600" * 8_192}


@pytest.mark.parametrize("text", LARGEST.values(), ids=LARGEST)
async def test_the_largest_message_passes_on_every_interface(edge: Edge, ada: Person, text: str) -> None:
    conversation = await ada.open_conversation()
    conversation_id = conversation.rpartition("/")[2]
    headers = {"content-type": "application/json"}
    async with opened_with(edge, ada.token) as socket:
        for said, status, code in ((text, 200, None), (text + "aaa", 400, 3)):
            call = f'{{"id":2,"rpc":{{"method":"{SEND}","data":{{"conversationId":"{conversation_id}","text":"'
            await socket.send(call + escaped(said) + '"}}}')
            reply = json.loads(await socket.recv())
            assert reply.get("error", {}).get("code") == code, reply
            body = '{"text":"' + escaped(said) + '"}'
            assert (
                await ada.ask("POST", f"{conversation}/messages", content=body, headers=headers)
            ).status_code == status
            request = SendMessageRequest(conversation_id=conversation_id, text=said)
            sent = MessageServiceStub(edge.channel).SendMessage(request, metadata=ada.metadata)
            assert (await sent.code()).value[0] == (code or 0)


async def test_too_large_a_request_is_refused_and_the_socket_goes_on(edge: Edge, ada: Person) -> None:
    async with opened_with(edge, ada.token) as socket:
        for size, code in ((1024 * 1024, 8), (4 * 1024 * 1024, 8)):
            call = {"method": SEND, "data": {"conversationId": NOWHERE, "text": "x" * size}}
            await socket.send(json.dumps({"id": 2, "rpc": call}))
            error = json.loads(await socket.recv())["error"]
            assert (error["code"], error["message"]) == (code, "the request is larger than 1048576 bytes")
        await socket.send("x" * (5 * 1024 * 1024))
        await socket.wait_closed()
        assert socket.close_code == 1009
        assert socket.close_reason


@asynccontextmanager
async def opened_with(edge: Edge, token: str) -> AsyncIterator[ClientConnection]:
    async with connect(address(edge), proxy=None) as socket, asyncio.timeout(30):
        await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
        assert "connect" in json.loads(await socket.recv())
        yield socket
