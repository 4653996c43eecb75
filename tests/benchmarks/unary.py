"""What each part of the way costs: an RPC on a bare gRPC server, on our service, through Envoy, and through REST."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
from parley.conversations.v1.conversation_service_pb2 import GetConversationRequest
from parley.conversations.v1.conversation_service_pb2_grpc import ConversationServiceStub

from tests.benchmarks.http_client import HttpConnection

SECONDS = 4.0
CONNECTIONS = (1, 32)

Call = Callable[[], Awaitable[None]]


@asynccontextmanager
async def over_grpc(target: str, token: str, conversation_id: str) -> AsyncIterator[Call]:
    """Yield a call of GetConversation by stub on a channel of its own."""
    async with grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = ConversationServiceStub(channel)
        request = GetConversationRequest(conversation_id=conversation_id)
        metadata = (("authorization", f"Bearer {token}"),)

        async def call() -> None:
            await stub.GetConversation(request, metadata=metadata, timeout=30)

        yield call


@asynccontextmanager
async def over_rest(host: str, port: int, token: str, conversation_id: str) -> AsyncIterator[Call]:
    """Yield the same call by REST on a connection of its own."""
    async with HttpConnection(host, port, token) as connection:

        async def call() -> None:
            status, body = await connection.call("GET", f"/api/v1/chat/conversations/{conversation_id}")
            assert status == 200, body

        yield call


async def measure(calls: list[Call]) -> tuple[float, float]:
    """Run each call over and over, all beside each other. Returns calls per second and the median in milliseconds."""
    times: list[float] = []
    stop = time.perf_counter() + SECONDS

    async def loop(call: Call) -> None:
        await call()
        while (started := time.perf_counter()) < stop:
            await call()
            times.append(time.perf_counter() - started)

    began = time.perf_counter()
    await asyncio.gather(*[loop(call) for call in calls])
    return len(times) / (time.perf_counter() - began), statistics.median(times) * 1000


async def compare(
    bare: str, service: str, edge_host: str, edge_port: int, token: str, conversation_id: str
) -> list[str]:
    """Return the lines of the report."""
    lines = []
    for connections in CONNECTIONS:
        floor = 0.0
        for name, target in (
            ("bare grpc.aio server", bare),
            ("the service itself", service),
            ("edge gRPC (Envoy)", f"{edge_host}:{edge_port}"),
            ("edge REST (Envoy, adapter, mesh)", ""),
        ):
            async with AsyncExitStack() as stack:
                calls = []
                for _ in range(connections):
                    if target:
                        way = over_grpc(target, token, conversation_id)
                    else:
                        way = over_rest(edge_host, edge_port, token, conversation_id)
                    calls.append(await stack.enter_async_context(way))
                rate, median = await measure(calls)
            floor = floor or rate
            lines.append(
                f"GetConversation, {connections:2d} connections, {name:33s} {rate:7.0f}/s  p50 {median:6.2f} ms"
                f"  {rate / floor:4.2f}x of bare"
            )
    return lines
