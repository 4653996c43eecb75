"""gRPC metadata of answers -> HTTP headers and trailers: with grpc-gateway's prefixes, or plain where wanted."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import grpc

from adapters.rest.dialect import Dialect
from adapters.rest.failures import Failure
from adapters.rest.header_names import listed
from adapters.rest.metadata import Headers, header_safe

RETRY_AFTER = b"retry-after"
_HTTP_CODE = "x-http-code"
_LIMITS = ("ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
_RATE_LIMITS = (*_LIMITS, "x-ratelimit-*", "retry-after")
_REMEMBERED_NAMES = 1024


class Outgoing:
    """Names the metadata of one upstream as the dialect wants it."""

    def __init__(self, dialect: Dialect) -> None:
        """Take which names go out without a prefix, and whether `x-http-code` sets the status."""
        limits = _RATE_LIMITS if dialect.rate_limit_headers else ()
        hidden = (_HTTP_CODE,) if dialect.http_codes else ()
        self._http_codes = dialect.http_codes
        self._is_limit = listed(limits)
        self._header_name = _naming(b"grpc-metadata-", (*dialect.outgoing_headers, *limits), hidden)
        self._trailer_name = _naming(b"grpc-trailer-", dialect.outgoing_trailers, ())

    def headers(self, metadata: Any) -> Headers:
        """Return the headers for the metadata that the upstream sent before its answer."""
        headers: Headers = [(b"grpc-metadata-content-type", b"application/grpc")]
        return headers + _named(metadata, self._header_name) if metadata else headers

    def trailers(self, metadata: Any) -> Headers:
        """Return the HTTP trailers for the metadata that the upstream sent after its answer."""
        return _named(metadata or (), self._trailer_name)

    def late_limits(self, metadata: Any) -> Headers:
        """Return the rate limits among what a refusal has after it: one without an answer has nothing before it."""
        return _named([(key, value) for key, value in metadata or () if self._is_limit(key)], self._header_name)

    def status(self, metadata: Any, usual: int) -> int:
        """Return the status of an answer that succeeds.

        Raises:
            Failure: UNKNOWN, `x-http-code` is no status.
        """
        if not self._http_codes:
            return usual
        text = next((str(value) for key, value in metadata or () if key == _HTTP_CODE), "")
        if not text:
            return usual
        if not text.isdecimal() or not 200 <= int(text[:9]) <= 599:
            raise Failure(grpc.StatusCode.UNKNOWN, "the upstream's x-http-code is no HTTP status")
        return int(text)


def _naming(prefix: bytes, plain: Iterable[str], hidden: tuple[str, ...]) -> Any:
    is_plain = listed(plain)

    @lru_cache(_REMEMBERED_NAMES)
    def named(key: str) -> bytes:
        if key in hidden:
            return b""
        return key.encode() if is_plain(key) else prefix + key.encode()

    return named


def _named(metadata: Any, name_of: Any) -> Headers:
    headers: Headers = []
    for key, value in metadata:
        raw = value if isinstance(value, bytes) else value.encode("latin-1", "replace")
        name = name_of(key)
        if name and header_safe(raw) == raw:  # what HTTP cannot carry is left out
            headers.append((name, raw))
    return headers
