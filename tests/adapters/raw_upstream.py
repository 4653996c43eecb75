"""A gRPC upstream on bare HTTP/2 that answers as a request's metadata `behave` says: what no gRPC server would do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

_PREFIX = "seen-"


class RawUpstream:
    """What came in, by `id` in `behave`."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.transports: set[Any] = set()
        self.begun: dict[str, asyncio.Event] = {}
        self.reset: dict[str, asyncio.Event] = {}

    def event(self, of: dict[str, asyncio.Event], name: str) -> asyncio.Event:
        """Return the event of a call."""
        return of.setdefault(name, asyncio.Event())


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: RawUpstream) -> None:
        self._upstream = upstream
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._calls: dict[int, dict[str, Any]] = {}
        self._transport: Any = None
        self._timers: set[asyncio.TimerHandle] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._upstream.transports.add(transport)
        self._http.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream.transports.discard(self._transport)
        for timer in self._timers:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            if isinstance(event, RequestReceived):
                self._begin(event)
            elif isinstance(event, DataReceived):
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded) and event.stream_id in self._calls:
                call = self._calls[event.stream_id]
                if call["behave"].get("when") != "headers":
                    self._answer_later(event.stream_id)
            elif isinstance(event, StreamReset):
                call = self._calls.pop(event.stream_id, {"behave": {}})
                self._upstream.event(self._upstream.reset, call["behave"].get("id", "")).set()
        self._flush()

    def _begin(self, event: RequestReceived) -> None:
        seen = [(str(name), str(value)) for name, value in event.headers or []]
        behave = json.loads(dict(seen).get("behave", "{}"))
        self._calls[event.stream_id] = {"behave": behave, "seen": seen}
        self._upstream.event(self._upstream.begun, behave.get("id", "")).set()
        if behave.get("when") == "headers":
            self._answer_later(event.stream_id)

    def _answer_later(self, stream: int) -> None:
        behave = self._calls[stream]["behave"]
        if "delay" not in behave:
            self._answer(stream)
        elif behave["delay"] is not None:
            self._timers.add(asyncio.get_running_loop().call_later(behave["delay"], self._answer, stream))

    def _answer(self, stream: int) -> None:
        call = self._calls.pop(stream, None)
        if call is None:
            return
        behave = call["behave"]
        try:
            if "rst" in behave:
                self._http.reset_stream(stream, behave["rst"])
            else:
                self._send(stream, behave, call["seen"])
        except ProtocolError:
            pass
        self._flush()

    def _send(self, stream: int, behave: dict[str, Any], seen: list[tuple[str, str]]) -> None:
        status = [("grpc-status", str(behave.get("status", 0))), ("grpc-message", behave.get("message", ""))]
        trailers = [*status, *map(tuple, behave.get("trailers", []))]
        first = [(":status", "200"), ("content-type", "application/grpc")]
        if behave.get("trailers_only"):
            self._http.send_headers(stream, [*first, *trailers], end_stream=True)
            return
        headers = [tuple(pair) for pair in behave.get("headers", [])]
        if behave.get("reflect"):
            headers += [(_PREFIX + name, value) for name, value in seen if not name.startswith((":", "behave"))]
        self._http.send_headers(stream, [*first, *headers])
        for message in behave.get("messages", []):
            raw = bytes.fromhex(message)
            self._http.send_data(stream, b"\0" + len(raw).to_bytes(4, "big") + raw)
        self._http.send_headers(stream, trailers, end_stream=True)

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._http.data_to_send())


@asynccontextmanager
async def raw_upstream(port: int = 0) -> AsyncIterator[tuple[RawUpstream, str]]:
    """Serve on a free port, and yield the upstream and its address."""
    upstream = RawUpstream()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(upstream), "127.0.0.1", port)
    try:
        yield upstream, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for transport in upstream.transports:
            transport.abort()
        await asyncio.sleep(0)
