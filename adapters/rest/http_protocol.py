"""uvicorn's HTTP/1.1 on httptools, and what a gateway wants beside it: raw UTF-8 in URLs, limits, who leaves."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from adapters.rest.codec import dump_json
from adapters.rest.trailers import TrailersProtocol

LEAVING = "parley.leaving"
"""The ASGI extension whose value takes a callback for the moment at which the client closes the connection."""

_ESCAPED = re.compile(rb"[#\x80-\xff]")
_PARSED_URL_BYTES = 0xFFFF  # httptools reads no longer ones
_GOODBYE_SECONDS = 1.0
_RESOURCE_EXHAUSTED = 8
_STATUS_LINES = {414: b"414 URI Too Long", 431: b"431 Request Header Fields Too Large"}


class HeadLimits(NamedTuple):
    """How long the parts of a request's head may be."""

    url_bytes: int
    header_bytes: int
    """All names and values together."""


class _TooLong(Exception):
    """Ends the parsing of a head."""


class RestProtocol(TrailersProtocol):
    """One connection."""

    limits = HeadLimits(64 * 1024, 64 * 1024)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        self._in_head = self._at_start = True
        self._in_request_line = False
        self._head_bytes = self._chunk_bytes = 0
        self._refusal: tuple[int, str] | None = None
        self._on_leaving: Callable[[], Any] | None = None

    def watch(self, callback: Callable[[], Any]) -> bool:
        """Call back when the client leaves during the request; return False when nobody would notice.

        That is so while a body has not been read: the server stops reading before the end of the connection.
        """
        if self.cycle.more_body or self.flow.read_paused:
            return False
        self._on_leaving = callback
        if self.cycle.disconnected:
            callback()
        return True

    def unwatch(self) -> None:
        """Forget the callback."""
        self._on_leaving = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who watches."""
        super().connection_lost(exc)
        callback, self._on_leaving = self._on_leaving, None
        if callback is not None:
            callback()

    def data_received(self, data: bytes) -> None:
        """Parse a piece of the stream."""
        if self._refusal is not None:
            return
        if self._at_start or self._in_request_line:
            data = self._with_escapes(data)
        self._chunk_bytes = len(data)
        super().data_received(data)
        if self._in_head and not self._at_start and self._refusal is None:
            self._head_bytes += len(data)
            if self._head_bytes > sum(self.limits):
                self._refuse(*self._too_long(414 if self._in_request_line else 431))

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._at_start = False
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Check the limits, and read URLs that httptools does not."""
        self._in_head = self._in_request_line = False
        if self._head_bytes + self._chunk_bytes > min(self.limits):
            self._check_limits()
        if len(self.url) <= _PARSED_URL_BYTES:
            super().on_headers_complete()
            return
        path, _, query = self.url.partition(b"?")
        self.url = b"/"
        super().on_headers_complete()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope.update(path=unquote(path.decode("ascii")), raw_path=path, query_string=query)

    def on_message_complete(self) -> None:
        """Note that the next bytes are a head."""
        self._in_head = self._at_start = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Answer what is no HTTP, or what is too long."""
        if self._refusal is not None:
            self._refuse(*self._refusal)
        else:
            super().send_400_response("400 Bad Request")

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        cycle.scope["extensions"] = {LEAVING: self}
        super()._start_asgi_task(cycle, app)

    def _with_escapes(self, data: bytes) -> bytes:
        end = data.find(b"\n")
        self._in_request_line = end < 0
        # Go takes any byte in a URL, and a fragment as a part of it.
        if data.isascii() and b"#" not in data:
            return data
        line = data if end < 0 else data[:end]
        return _ESCAPED.sub(lambda match: b"%%%02X" % match[0][0], line) + data[len(line) :]

    def _check_limits(self) -> None:
        if len(self.url) > self.limits.url_bytes:
            self._refusal = self._too_long(414)
        elif sum(len(name) + len(value) for name, value in self.headers) > self.limits.header_bytes:
            self._refusal = self._too_long(431)
        if self._refusal is not None:
            raise _TooLong

    def _too_long(self, status: int) -> tuple[int, str]:
        if status == 414:
            return status, f"the URL is longer than {self.limits.url_bytes} bytes"
        return status, f"the headers are longer than {self.limits.header_bytes} bytes"

    def _refuse(self, status: int, message: str) -> None:
        self._refusal = status, message
        body = dump_json({"code": _RESOURCE_EXHAUSTED, "message": message, "details": []})
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (_STATUS_LINES[status], len(body)) + body)
        # What is still on its way is read and dropped: closing at once would reset the connection before the answer
        # is read.
        self.loop.call_later(_GOODBYE_SECONDS, self.transport.close)


def protocol_with(limits: HeadLimits) -> type[RestProtocol]:
    """Return the protocol with other limits."""
    return type("LimitedRestProtocol", (RestProtocol,), {"limits": limits})
