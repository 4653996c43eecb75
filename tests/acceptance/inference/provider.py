"""A provider that says what a test wants it to say: a real HTTP server that speaks just enough of the OpenAI API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

Answer = Callable[[asyncio.StreamWriter], Coroutine[Any, Any, None]]
"""Writes the HTTP response to one request."""


class Provider:
    """`base_url` is where it listens; `asked` and `listener_left` are set when a client asks, and leaves early.

    `bodies` are those of the requests.
    """

    def __init__(self) -> None:
        self.base_url = ""
        self.requests = 0
        self.bodies: list[bytes] = []
        self.asked = asyncio.Event()
        self.listener_left = asyncio.Event()


@asynccontextmanager
async def providing(answer: Answer) -> AsyncIterator[Provider]:
    """Run a provider that gives every request the same answer."""
    provider = Provider()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        provider.bodies.append(await reader.readexactly(length))
        provider.requests += 1
        provider.asked.set()
        answering = asyncio.create_task(answer(writer), name="answer")
        leaving = asyncio.create_task(reader.read(), name="leave")
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            provider.listener_left.set()
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        provider.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield provider


def refusing(status: int, text: str) -> Answer:
    """Answer with an error status and a text."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        body = f'{{"error": {{"message": "{text}"}}}}'.encode()
        head = f"HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{head}retry-after-ms: 1\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


def streaming(*events: str, then_hangs: bool = False) -> Answer:
    """Answer with server-sent events, and end or fall silent after them."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for event in events:
            writer.write(f"data: {event}\n\n".encode())
            await writer.drain()
        if then_hangs:
            await asyncio.Event().wait()

    return answer


def chunk(text: str, finish_reason: str = "") -> str:
    """Return one event of a chat completion."""
    reason = f'"{finish_reason}"' if finish_reason else "null"
    delta = f'{{"content": "{text}"}}'
    choice = f'{{"index": 0, "delta": {delta}, "finish_reason": {reason}}}'
    return f'{{"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{choice}]}}'
