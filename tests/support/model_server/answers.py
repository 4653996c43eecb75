"""How an answer is written: as server-sent events, as one JSON document, or as a refusal."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for."""

    body: dict[str, Any]

    @property
    def question(self) -> str:
        """The last user message."""
        said = [one for one in self.body.get("messages", ()) if one.get("role") == "user"]
        return str(said[-1].get("content", "")) if said else ""

    @property
    def has_results(self) -> bool:
        """Whether calls of tools have been answered."""
        return any(one.get("role") == "tool" for one in self.body.get("messages", ()))


Answer = Callable[[Request, asyncio.StreamWriter], Coroutine[Any, Any, None]]
"""Writes the HTTP response to one request."""

DONE = "[DONE]"


def chunk(text: str | None = None, finish_reason: str | None = None, **delta: object) -> str:
    """Return one event of a chat completion, in ASCII: what JSON can escape is escaped."""
    if text is not None:
        delta["content"] = text
    return completion({"index": 0, "delta": delta, "finish_reason": finish_reason or None})


def completion(*choices: object, **changes: object) -> str:
    """Return one event with these choices."""
    said = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": list(choices)}
    return json.dumps(said | changes)


def called(index: object = 0, finish_reason: str | None = None, **fields: object) -> str:
    """Return one event with a piece of a call; an index of `...` is left out."""
    piece = fields if index is ... else {"index": index, **fields}
    return chunk(None, finish_reason, tool_calls=[piece])


def function(name: object = None, arguments: object = None) -> dict[str, object]:
    """Return what a piece of a call says of its function; what is None is left out."""
    said = {"name": name, "arguments": arguments}
    return {key: value for key, value in said.items() if value is not None}


def streaming(*events: str, then_hangs: bool = False) -> Answer:
    """Answer with server-sent events, and end or fall silent after them. The body is as long as the connection."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for event in events:
            writer.write(f"data: {event}\n\n".encode())
            await writer.drain()
        if then_hangs:
            await asyncio.Event().wait()

    return answer


def raw(
    *pieces: bytes, content_type: str = "text/event-stream", ends: bool = True, seconds: float = 0.0, status: int = 200
) -> Answer:
    """Answer with these bytes, each piece a chunk of HTTP/1.1 and a segment of TCP, `seconds` apart.

    When it does not end, the connection is cut.
    """

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n"
        writer.write(f"{head}connection: close\r\n\r\n".encode())
        for piece in pieces:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            await asyncio.sleep(seconds)
        if ends:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        else:
            writer.transport.abort()

    return answer


def events(*data: str, newline: str = "\n") -> Answer:
    """Answer with events in a body that says where it ends."""
    return raw(*(f"data: {one}{newline}{newline}".encode() for one in data))


def document(
    body: object, status: int = 200, content_type: str = "application/json", headers: str = "retry-after-ms: 1"
) -> Answer:
    """Answer with one document and further headers."""

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        head = f"HTTP/1.1 {status} Said\r\ncontent-type: {content_type}\r\ncontent-length: {len(content)}\r\n"
        writer.write(f"{head}{headers}\r\nconnection: close\r\n\r\n".encode() + content)
        await writer.drain()

    return answer


def refusing(status: int, text: str) -> Answer:
    """Answer with an error status and a text."""
    return document({"error": {"message": text}}, status)


def by_round(first: Answer, then: Answer) -> Answer:
    """Answer with `first`, and with `then` once calls of tools have been answered."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await (then if request.has_results else first)(request, writer)

    return answer


def unless(condition: Callable[[dict[str, Any]], Answer | None], otherwise: Answer) -> Answer:
    """Answer as `condition` says of the request, `otherwise` when it says nothing."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await (condition(request.body) or otherwise)(request, writer)

    return answer


def well(texts: Sequence[str] = ("Hello", " there"), reason: str = "stop") -> Answer:
    """Answer as OpenAI does."""
    usage = completion(usage={"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})
    return events(chunk("", role="assistant"), *map(chunk, texts), chunk(None, reason), usage, DONE)
