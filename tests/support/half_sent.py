"""A client that begins large requests and never ends them, over HTTP/2 and HTTP/1.1.

`python -m tests.support.half_sent HOST:PORT grpc|rest|http1` does so until it is killed.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, StreamEnded, StreamReset
from h2.exceptions import ProtocolError, StreamClosedError

MIB = 1024 * 1024
_QUIET_SECONDS = 1.0
_MOST_SECONDS = 20.0
_PIECE = 16 * 1024


@dataclass(frozen=True)
class HalfSent:
    """Requests of which `sent` of `announced` bytes come. gRPC announces in the message's prefix, REST in a header."""

    path: str
    is_grpc: bool = False
    is_chunked: bool = False
    announced: int = 11 * MIB
    sent: int = 10 * MIB + 400 * 1024
    streams: int = 40
    headers: tuple[tuple[str, str], ...] = field(default=())

    @property
    def head(self) -> list[tuple[str, str]]:
        """The headers of one request, but for those that name where it goes."""
        kind = [("content-type", "application/grpc"), ("te", "trailers")] if self.is_grpc else []
        kind = kind or [("content-type", "application/json")]
        length = [] if self.is_grpc or self.is_chunked else [("content-length", str(self.announced))]
        return [*kind, *length, *self.headers]

    @property
    def start(self) -> bytes:
        """The first bytes of the body."""
        return b"\0" + self.announced.to_bytes(4, "big") if self.is_grpc else b'{"login":"'


@asynccontextmanager
async def held_open_h2(host: str, port: int, request: HalfSent) -> AsyncIterator[None]:
    """Send over one HTTP/2 connection until the server takes no more, then hold it open for the block."""
    reader, writer = await asyncio.open_connection(host, port)
    connection = H2Connection(H2Configuration(client_side=True))
    connection.initiate_connection()
    left: dict[int, int] = {}
    for _ in range(request.streams):
        stream = connection.get_next_available_stream_id()
        names = [(":method", "POST"), (":scheme", "http"), (":authority", f"{host}:{port}"), (":path", request.path)]
        connection.send_headers(stream, [*names, *request.head])
        connection.send_data(stream, request.start)
        left[stream] = request.sent
    try:
        async with _until_quiet() as deadline:
            while left:
                deadline.heard(_push(connection, left))
                writer.write(connection.data_to_send())
                await writer.drain()
                data = await reader.read(256 * 1024)
                if not data:
                    break
                for event in connection.receive_data(data):
                    _note(event, left)
        yield
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _push(connection: H2Connection, left: dict[int, int]) -> int:
    pushed = 0
    for stream in list(left):
        try:
            while left[stream] and (room := min(connection.local_flow_control_window(stream), left[stream], _PIECE)):
                connection.send_data(stream, b"x" * room)
                left[stream] -= room
                pushed += room
        except (StreamClosedError, ProtocolError):
            left.pop(stream, None)
    return pushed


def _note(event: Event, left: dict[int, int]) -> None:
    if isinstance(event, StreamReset | StreamEnded) and event.stream_id is not None:
        left.pop(event.stream_id, None)


@asynccontextmanager
async def held_open_h1(host: str, port: int, request: HalfSent) -> AsyncIterator[None]:
    """Send each request over an HTTP/1.1 connection of its own, and hold them open for the block."""
    async with AsyncExitStack() as stack:
        writers = []
        for _ in range(request.streams):
            _reader, writer = await asyncio.open_connection(host, port)
            stack.callback(writer.close)
            writers.append(writer)
        await asyncio.gather(*(_pour(writer, f"{host}:{port}", request) for writer in writers))
        yield


async def _pour(writer: asyncio.StreamWriter, host: str, request: HalfSent) -> None:
    chunked = [("transfer-encoding", "chunked")] if request.is_chunked else []
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*request.head, *chunked])
    writer.write(f"POST {request.path} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n".encode())
    piece = b"x" * _PIECE
    framed = f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if request.is_chunked else piece
    with contextlib.suppress(ConnectionError, TimeoutError):
        for _ in range(request.sent // _PIECE):
            writer.write(framed)
            async with asyncio.timeout(_QUIET_SECONDS):
                await writer.drain()


class _Deadline:
    def __init__(self, timer: asyncio.Timeout) -> None:
        self._timer = timer
        self._last = asyncio.get_running_loop().time() + _MOST_SECONDS

    def heard(self, progress: int) -> None:
        if progress:
            self._timer.reschedule(min(self._last, asyncio.get_running_loop().time() + _QUIET_SECONDS))


@asynccontextmanager
async def _until_quiet() -> AsyncIterator[_Deadline]:
    """End the block without an error when no byte could be sent for a while."""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_QUIET_SECONDS) as timer:
            yield _Deadline(timer)


def ways(requests: Iterable[HalfSent]) -> list[tuple[HalfSent, bool]]:
    """Return each request over HTTP/2, and those that are not gRPC over HTTP/1.1 (True) too."""
    return [(one, is_h1) for one in requests for is_h1 in (False, True) if not (is_h1 and one.is_grpc)]


async def _go_on(address: str, kind: str) -> None:
    host, _, port = address.rpartition(":")
    path = "/parley.identity.v1.AuthService/Login" if kind == "grpc" else "/api/v1/auth/login"
    request = HalfSent(path, is_grpc=kind == "grpc", is_chunked=True)
    opened = held_open_h1 if kind == "http1" else held_open_h2
    while True:
        async with opened(host, int(port), request):
            sys.stdout.write("holding\n")
            sys.stdout.flush()
            await asyncio.sleep(_QUIET_SECONDS)


if __name__ == "__main__":
    asyncio.run(_go_on(sys.argv[1], sys.argv[2]))
