"""A subscription to a run and the stream behind it, with a real upstream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from parley.conversations.v1 import run_service_pb2, run_service_pb2_grpc

from adapters.rest.descriptors import read_descriptor_set
from adapters.websocket.codes import SLOW, Disconnected
from adapters.websocket.commands import Command
from adapters.websocket.runs import RunSubscription, read_channel
from adapters.websocket.settings import WebSocketSettings
from adapters.websocket.tokens import Token
from adapters.websocket.upstream import Upstream

RUN = "01a1fe2f-9346-70b2-a745-946de94cd37f"
OTHER = "01a1fe2f-9346-70b2-a745-946de94cd380"
TOKEN = Token("a.b.c", 2.0**40)


class Runs(run_service_pb2_grpc.RunServiceServicer):
    """Streams ten events and falls silent."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def StreamRun(self, request: Any, context: Any) -> AsyncIterator[run_service_pb2.StreamRunResponse]:
        try:
            for number in range(request.after + 1, 11):
                yield run_service_pb2.StreamRunResponse(sequence=number)
            await asyncio.Event().wait()
        finally:
            self.left.set()


class Keeping(Upstream):
    """Keeps each call, so that nothing but a cancel ends it."""

    def stream_run(self, *given: Any) -> Any:
        self.kept = super().stream_run(*given)
        return self.kept


@pytest.fixture
async def runs() -> AsyncIterator[tuple[Runs, Keeping]]:
    servicer, server = Runs(), grpc.aio.server()  # type: ignore[abstract] # only StreamRun is called
    run_service_pb2_grpc.add_RunServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    descriptors = read_descriptor_set(WebSocketSettings().descriptor_set)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield servicer, Keeping(channel, descriptors, 5)
    await server.stop(0)


def subscribed(**position: Any) -> Command:
    return Command(1, "subscribe", {"channel": f"run:{OTHER}/{RUN}", **position})


async def test_a_client_that_is_too_slow_leaves_no_stream_behind(runs: tuple[Runs, Keeping]) -> None:
    servicer, upstream = runs
    told: list[bytes] = []

    async def put(message: bytes) -> None:
        told.append(message)
        if len(told) == 3:
            raise Disconnected(SLOW)

    with pytest.raises(Disconnected):
        await RunSubscription(read_channel(subscribed()), put).follow(upstream, TOKEN, {})
    async with asyncio.timeout(5):
        await servicer.left.wait()


async def test_who_leaves_while_a_message_waits_leaves_no_stream_behind(runs: tuple[Runs, Keeping]) -> None:
    servicer, upstream = runs
    stuck = asyncio.Event()

    async def put(_message: bytes) -> None:
        stuck.set()
        await asyncio.Event().wait()

    following = asyncio.create_task(RunSubscription(read_channel(subscribed()), put).follow(upstream, TOKEN, {}))
    async with asyncio.timeout(5):
        await stuck.wait()
        following.cancel()
        await servicer.left.wait()


@pytest.mark.parametrize(
    ("position", "after", "is_known"),
    [
        ({"recover": True, "epoch": RUN, "offset": 5}, 5, True),
        ({"recover": True, "epoch": RUN.upper(), "offset": 5}, 0, False),
        ({"recover": True, "epoch": OTHER, "offset": 5}, 0, False),
        ({"recover": True, "offset": 5}, 0, False),
        ({"epoch": RUN, "offset": 5}, 0, False),
    ],
)
def test_only_a_position_of_this_run_counts(position: dict[str, Any], after: int, is_known: bool) -> None:
    channel = read_channel(subscribed(**position))
    assert (channel.after, channel.is_known) == (after, is_known)
