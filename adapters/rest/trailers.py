"""HTTP/1.1 trailers for uvicorn, by the ASGI extension http.response.trailers that its HTTP/1.1 protocols lack."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.rest.asgi import Receive, Scope, Send

EXTENSION = "http.response.trailers"


class TrailersProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 on httptools; requests with a TE header may be answered with trailers."""

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if any(name == b"te" for name, _ in cycle.scope["headers"]) and cycle.scope["http_version"] == "1.1":
            cycle.scope.setdefault("extensions", {})[EXTENSION] = {}
            app = _with_trailers(cycle, app)
        super()._start_asgi_task(cycle, app)


def _with_trailers(cycle: Any, app: Any) -> Any:
    async def run(scope: Scope, receive: Receive, send: Send) -> Any:
        return await app(scope, receive, _Sending(cycle, send))

    return run


class _Sending:
    """Holds back the end of a body until its trailers have come."""

    def __init__(self, cycle: Any, send: Send) -> None:
        self._cycle = cycle
        self._send = send
        self._expected = False

    async def __call__(self, message: Any) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._expected = bool(message.get("trailers"))
        elif kind == "http.response.body" and self._expected and not message.get("more_body"):
            message = {**message, "more_body": True}
        elif kind == EXTENSION and self._expected:
            await self._end(message["headers"])
            return
        await self._send(message)

    async def _end(self, headers: Any) -> None:
        if not self._cycle.disconnected and self._cycle.chunked_encoding:
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
            self._cycle.transport.write(b"0\r\n" + lines + b"\r\n")
            self._cycle.chunked_encoding = False  # the last chunk is out
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
