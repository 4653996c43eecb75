"""HTTP clients that connect only where the egress guard lets them, and read only so much."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import httpcore2
import httpx2

from services.tools.backends.egress_guard import EgressGuard

_CONNECT_SECONDS = 5.0
_MOST_TRIED = 3


class AnswerTooLarge(Exception):
    """A tool answered more than it may."""


# Not read with the standard library's parser of headers: that decodes names of charsets by the charset they name.
_LATIN = re.compile(r";\s?charset=[\"']?(iso[-_]?8859-1|latin-?1)\b(?!-)", re.IGNORECASE)


class AnswerEncoded(Exception):
    """A tool answered compressed, though it was asked not to: what it would grow to is not known."""


def guarded_client(
    guard: EgressGuard, max_bytes: int, headers: Mapping[str, str], seconds: float
) -> httpx2.AsyncClient:
    """Return a client that resolves names itself, follows no redirect, uses no proxy and reads at most `max_bytes`."""
    return httpx2.AsyncClient(
        transport=_GuardedTransport(guard, max_bytes),
        headers={**headers, "accept-encoding": "identity", "user-agent": "parley-tools"},
        timeout=httpx2.Timeout(seconds, connect=_CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to checked addresses only; Host and SNI stay those of the URL."""

    def __init__(self, guard: EgressGuard) -> None:
        self._guard = guard
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._guard.addresses(host, port)
        for address in addresses[: _MOST_TRIED - 1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        return await self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, guard: EgressGuard, max_bytes: int) -> None:
        super().__init__(trust_env=False)
        self._max_bytes = max_bytes
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            max_connections=10,
            network_backend=_GuardedBackend(guard),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise AnswerEncoded
        # Python's other codecs are not all of linear time, and not all are charsets.
        response.encoding = "iso-8859-1" if _LATIN.search(response.headers.get("content-type", "")) else "utf-8"
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 - of an asynchronous transport
        response.stream = _Limited(response.stream, self._max_bytes)
        return response


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, max_bytes: int) -> None:
        self._inner = inner
        self._left = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            self._left -= len(part)
            if self._left < 0:
                raise AnswerTooLarge
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
