"""Decodes request bodies by their Content-Encoding, piece by piece: a small body must not become a large memory."""

import zlib
from collections.abc import Callable, Iterator

import grpc
import zstandard

from adapters.rest.asgi import Message, Receive, too_large
from adapters.rest.failures import Failure, invalid_field

_PIECE_BYTES = 64 * 1024
# A block of zstd may be 4 bytes long and stand for 128 KiB: what comes of one slice is 8 MiB at most.
_SLICE_BYTES = 256
_WINDOW_BYTES = 8 * 1024 * 1024
_ACCEPTED = (b"accept-encoding", b"gzip, zstd")
Pieces = Callable[[bytes], Iterator[bytes]]


def decoded(receive: Receive, coding: str, limit: int) -> Receive:
    """Return a `receive` that gives the body decoded; it raises a Failure when the body is not as its coding says.

    Raises:
        Failure: HTTP 415, the coding is unknown.
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return receive
    if name in ("gzip", "x-gzip"):
        return _Decoded(receive, _Gzip(), limit)
    if name == "zstd":
        return _Decoded(receive, _Zstd(), limit)
    text = f"Content-Encoding: expected gzip or zstd, not {coding[:100]}"
    failure = Failure(grpc.StatusCode.INVALID_ARGUMENT, text, http_status=415)
    failure.headers.append(_ACCEPTED)
    raise failure


class _Gzip:
    name = "gzip"

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def is_whole(self) -> bool:
        return self._inner.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inner.eof:
                self._inner = zlib.decompressobj(wbits=31)  # a file of several members
            if piece := self._inner.decompress(data, _PIECE_BYTES):
                yield piece
            data = self._inner.unconsumed_tail or self._inner.unused_data
        while not self._inner.eof and (piece := self._inner.decompress(b"", _PIECE_BYTES)):
            yield piece


class _Zstd:
    name = "zstd"

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()

    @property
    def is_whole(self) -> bool:
        return self._inner.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _SLICE_BYTES):
            if piece := self._inner.decompress(data[start : start + _SLICE_BYTES]):
                yield piece


class _Decoded:
    """Stands in for `receive`. Every message says that more comes, but the last one, which is empty."""

    def __init__(self, receive: Receive, decoder: _Gzip | _Zstd, limit: int) -> None:
        self._receive = receive
        self._decoder = decoder
        self._limit = limit
        self._pieces: Iterator[bytes] = iter(())
        self._size = 0
        self._read = self._more = self._has_bytes = False

    async def __call__(self) -> Message:
        if self._read and not self._more and self._pieces is _NOTHING:
            return await self._receive()
        while True:
            if (piece := self._next_piece()) is not None:
                return {"type": "http.request", "body": piece, "more_body": True}
            if self._read and not self._more:
                return self._ended()
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            body = message.get("body", b"")
            self._read, self._more = True, message.get("more_body", False)
            self._has_bytes = self._has_bytes or bool(body)
            self._pieces = self._decoder.feed(body)

    def _next_piece(self) -> bytes | None:
        try:
            piece = next(self._pieces, None)
        except (zlib.error, zstandard.ZstdError, EOFError):
            raise self._broken() from None
        self._size += len(piece or b"")
        if self._size > self._limit:
            raise too_large(self._limit)
        return piece

    def _ended(self) -> Message:
        if self._has_bytes and not self._decoder.is_whole:
            raise self._broken()
        self._pieces = _NOTHING
        return {"type": "http.request", "body": b"", "more_body": False}

    def _broken(self) -> Failure:
        return invalid_field("", f"the body is not whole {self._decoder.name}")


_NOTHING: Iterator[bytes] = iter(())
