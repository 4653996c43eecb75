"""A connection that breaks off after the request was sent: the call may have been done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from services.chassis.owners import Who
from services.tools.rules import CallState
from tests.acceptance.tools.conftest import House
from tests.acceptance.tools.servers import Seen


@asynccontextmanager
async def _hanging_up(requests: list[bytes], answer: bytes) -> AsyncIterator[int]:
    """Take requests, say a part of an answer and hang up; yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"], ids=["none", "half"])
@pytest.mark.parametrize(("idempotent", "asked"), [(False, 1), (True, 3)])
async def test_what_may_have_been_done_is_repeated_only_if_that_does_no_harm(
    house: House, valkey: Redis, ann: Who, answer: bytes, idempotent: bool, asked: int
) -> None:
    requests: list[bytes] = []
    async with _hanging_up(requests, answer) as port:
        other = House(house.database, valkey, port, Seen())
        (call,) = await other.done(ann, await other.tool(ann, "/order", idempotent=idempotent, retries=2))
        await other.wake_ups.close()
    assert call.state is (CallState.FAILED if idempotent else CallState.UNKNOWN)
    assert (call.error_reason, len(requests)) == ("UNREACHABLE", asked)
