"""The HTTP server: it reads a request, remembers it, and lets an answer write what it likes."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.support.model_server.answers import Answer, Request
from tests.support.model_server.switches import SWITCHES

_SWITCH = re.compile(r"^misbehave ([\w-]+)", re.MULTILINE)
_MOST_BYTES = 64 * 1024 * 1024


class Provider:
    """`base_url` is where it listens; `asked` and `listener_left` are set when a client asks, and leaves early.

    `bodies` are those of the requests.
    """

    def __init__(self) -> None:
        self.base_url = ""
        self.bodies: list[bytes] = []
        self.asked = asyncio.Event()
        self.listener_left = asyncio.Event()

    @property
    def requests(self) -> int:
        """How often it was asked: each request is one that a user pays for."""
        return len(self.bodies)

    def asked_with(self, words: str) -> list[Request]:
        """Return the requests whose last user message has these words."""
        return [one for one in map(_request, self.bodies) if words in one.question]


@asynccontextmanager
async def providing(answer: Answer) -> AsyncIterator[Provider]:
    """Run a provider that gives every request the same answer."""
    provider = Provider()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            provider.bodies.append(await reader.readexactly(length))
            provider.asked.set()
            request = _request(provider.bodies[-1])
            answering = asyncio.create_task(answer(request, writer), name="answer")
            leaving = asyncio.create_task(reader.read(), name="leave")
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                provider.listener_left.set()
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # connected and said nothing
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=_MOST_BYTES)
    async with server:
        provider.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield provider


def misbehaving() -> AbstractAsyncContextManager[Provider]:
    """Run a provider whose requests choose how it misbehaves; the last switch in the last user message holds."""
    return providing(_chosen)


async def _chosen(request: Request, writer: asyncio.StreamWriter) -> None:
    # Questions that were not answered stand before the last one.
    name = [str(request.body.get("model", "")), *_SWITCH.findall(request.question)][-1]
    await SWITCHES.get(name, SWITCHES["well"])(request, writer)


def _request(body: bytes) -> Request:
    return Request(json.loads(body))
