"""Compresses answers as Accept-Encoding asks, by starlette-compress; a message of a stream still goes out at once."""

from typing import Any

from starlette_compress import CompressMiddleware, add_compress_type

from adapters.rest.asgi import Message, Receive, Scope, Send

_SMALLEST_BYTES = 500
# The library flushes after each message for the types that it knows as streams, and it knows types only. JSON is no
# stream to it, so a stream of JSON or of text passes it under this name.
_STREAM = b"application/x-parley-stream"
_COMPRESSIBLE = (b"application/json", b"text/")
add_compress_type(_STREAM.decode(), streaming=True)


class Compression:
    """An ASGI application around another one."""

    def __init__(self, app: Any) -> None:
        """Take the application whose answers are compressed."""
        self._app = app
        self._middleware = CompressMiddleware(self._inside, minimum_size=_SMALLEST_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._middleware(scope, receive, _Unmarking(send))

    async def _inside(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, _Marking(send))


class _Marking:
    """Renames the content type of a stream on its way into the library, which keeps the real one as a parameter."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message["headers"]
            if not any(_is(header, b"content-length") for header in headers):
                message = {**message, "headers": [_marked(header) for header in headers]}
        await self._send(message)


class _Unmarking:
    """Gives a stream its content type back."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [_unmarked(header) for header in message["headers"]]}
        await self._send(message)


def _is(header: tuple[bytes, bytes], name: bytes) -> bool:
    return header[0].lower() == name


def _marked(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    if _is(header, b"content-type") and header[1].startswith(_COMPRESSIBLE):
        return header[0], _STREAM + b";" + header[1]
    return header


def _unmarked(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    return header[0], header[1].removeprefix(_STREAM + b";") if _is(header, b"content-type") else header[1]
