"""The floor of a unary RPC: grpc.aio and a generated stub, a constant answer, no interceptor and nothing behind it.

`python -m tests.benchmarks.bare PORT` serves it, as a process of its own.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from parley.conversations.v1.conversation_pb2 import Conversation
from parley.conversations.v1.conversation_service_pb2 import GetConversationRequest, GetConversationResponse
from parley.conversations.v1.conversation_service_pb2_grpc import (
    ConversationServiceServicer,
    add_ConversationServiceServicer_to_server,
)

from tests.support.stores import free_port

_HOST = "127.0.0.1"
_ANSWER = GetConversationResponse(
    conversation=Conversation(id="01a1fe14-5fb0-7625-8f9e-dc80e2bf6867", title="A conversation", message_count=2)
)


class Bare(ConversationServiceServicer):
    """Answers GetConversation alike."""

    async def GetConversation(self, request: GetConversationRequest, context: Any) -> GetConversationResponse:
        """Answer."""
        return _ANSWER


@asynccontextmanager
async def running_bare_server() -> AsyncIterator[str]:
    """Start the server and yield its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.benchmarks.bare", str(port))
    try:
        async with grpc.aio.insecure_channel(f"{_HOST}:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 60)
        yield f"{_HOST}:{port}"
    finally:
        process.kill()
        await process.wait()


async def _serve(port: int) -> None:
    server = grpc.aio.server()
    bare = Bare()  # type: ignore[abstract] # it answers the RPC that is measured
    add_ConversationServiceServicer_to_server(bare, server)
    server.add_insecure_port(f"{_HOST}:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
