"""What an ASGI server and the gateway say to each other."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import grpc

from adapters.rest.failures import Failure
from adapters.rest.metadata import Headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_WATCH_AFTER_SECONDS = 0.01
_WITHOUT_LENGTH = (204, 304)


class ClientGone(Exception):
    """The client closed the connection."""


async def read_body(receive: Receive, content_length: int, limit: int) -> bytes:
    """Return the whole request body.

    Raises:
        Failure: it is longer than `limit` bytes (HTTP 413).
        ClientGone: the client left before the end.
    """
    if content_length > limit:
        raise too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return _within(message.get("body", b""), limit)
    chunks, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> Failure:
    """Return the answer to a body that is longer than `limit` bytes."""
    # The server drops what is still on its way. Closing instead would reset the connection under the client's
    # feet, which then never sees the answer.
    text = f"the request body is larger than {limit} bytes"
    return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, text, http_status=413)


class Connection(Protocol):
    """A connection of a server that can tell at once that the client leaves."""

    def watch(self, callback: Callable[[], Any]) -> bool:
        """Call back then; return False when it would not notice."""

    def unwatch(self) -> None:
        """Forget the callback."""


class DisconnectWatch:
    """Cancels a call when the client leaves.

    Where the connection does not tell, a task reads on. Most calls are over before it is worth its price, so it
    starts a little later.
    """

    def __init__(self, receive: Receive, connection: Connection | None, cancel: Callable[[], Any]) -> None:
        """Take where the disconnect is announced and what to do then."""
        self.gone = False
        self._receive = receive
        self._cancel = cancel
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._connection = connection if connection is not None and connection.watch(self._leave) else None
        if self._connection is None:
            self._timer = asyncio.get_running_loop().call_later(_WATCH_AFTER_SECONDS, self._start)

    def stop(self) -> None:
        """End the watch."""
        if self._connection is not None:
            self._connection.unwatch()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        # What is left of an unread body comes first and is dropped.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self.gone = True
        self._cancel()


async def respond(send: Send, status: int, headers: Headers, body: bytes, trailers: Headers | None = None) -> None:
    """Send a whole answer, with HTTP trailers after it when there are some to send."""
    if trailers is not None:
        names = dict.fromkeys(name for name, _ in trailers)
        headers = [*headers, *((b"trailer", name.title()) for name in names)]
        await send({"type": "http.response.start", "status": status, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": body})
        await send({"type": "http.response.trailers", "headers": trailers})
        return
    if status not in _WITHOUT_LENGTH:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond_chunked(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer without telling its length, as an answer that could have been a stream."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
