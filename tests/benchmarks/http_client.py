"""A minimal keep-alive HTTP/1.1 client: the load generator must cost less than what it measures."""

import asyncio
import json
from types import TracebackType
from typing import Any


class HttpConnection:
    """One connection to a server; requests go out one after the other."""

    def __init__(self, host: str, port: int, token: str = "") -> None:
        self._address = (host, port)
        self._head = f"Host: {host}:{port}\r\nContent-Type: application/json\r\n"
        if token:
            self._head += f"Authorization: Bearer {token}\r\n"

    async def __aenter__(self) -> "HttpConnection":
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Send a request and return the status and the body of the answer."""
        payload = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(payload)}\r\n\r\n"
        self._writer.write(head.encode() + payload)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        lower = answer.lower()
        at = lower.find(b"content-length:")
        if at < 0:
            return status, await self._chunks()
        length = int(lower[at + 15 : lower.index(b"\r\n", at)])
        return status, await self._reader.readexactly(length)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size + 2)
        await self._reader.readline()
        return body
