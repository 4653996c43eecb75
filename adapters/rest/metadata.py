"""HTTP headers <-> gRPC metadata, with grpc-gateway's prefixes."""

import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from adapters.rest.failures import invalid_field
from adapters.rest.go_numbers import decode_base64
from adapters.rest.go_texts import corrupt_base64
from services.chassis.trace_ids import is_traceparent, new_traceparent

Headers = list[tuple[bytes, bytes]]
Metadata = list[tuple[str, str | bytes]]

REQUEST_ID = "x-request-id"
_PREFIX = b"grpc-metadata-"
_FORWARDED_METADATA = _PREFIX + b"x-forwarded-for"
_PERMANENT = (
    "accept accept-charset accept-language accept-ranges authorization cache-control content-type cookie date expect "
    "from if-match if-modified-since if-none-match if-schedule-tag-match if-unmodified-since max-forwards origin "
    "pragma referer user-agent via warning"
)
_RENAMED = {name.encode(): f"grpcgateway-{name}" for name in _PERMANENT.split()}
_TRACEPARENT = "traceparent"
_OF_A_TRACE = frozenset({REQUEST_ID, _TRACEPARENT, "tracestate"})
_CLIENT_ADDRESS = "x-envoy-external-address"  # the edge's word on who calls
_TRACES = {name.encode(): name for name in ("traceparent", "tracestate", _CLIENT_ADDRESS)}
_NAME = re.compile(r"[a-z0-9._-]+")
_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# gRPC sets these itself; a second value would break the call or pass a limit off as ours.
_RESERVED = frozenset({"te", "content-type", "user-agent", "host", "connection", "transfer-encoding", _CLIENT_ADDRESS})
# They speak of the connection, or go on in a form of their own.
_OF_THE_WAY = frozenset(
    b"content-length content-encoding keep-alive proxy-connection trailer upgrade x-forwarded-host".split()
)
_FORBIDDEN = bytes(code for code in (*range(32), 127) if code != 9)
_TIMEOUT = re.compile(r"0*([0-9]{1,20})([HMSmun])")
# gRPC counts nanoseconds since 1970 in 63 bits: a deadline later than 2262 would be one in the past.
_LONGEST_SECONDS = 100 * 365 * 86400.0
_MAX_UINT64 = 2**64 - 1
_UNIT_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class Caller(NamedTuple):
    """What the headers of a request say to the upstream and to the gateway."""

    metadata: Metadata
    request_id: str
    timeout: float | None
    accept: str
    last_event_id: str | None
    content_length: int
    content_type: str
    method_override: str
    wants_trailers: bool
    idempotency_key: str
    content_encoding: str


class PassedOn(NamedTuple):
    """Which headers go to the upstream, and under which names."""

    renames: dict[bytes, str]
    beginnings: tuple[bytes, ...]
    traces: bool
    """Whether every request has an id and a trace, the client's or a new one."""


def passed_on(names: Iterable[str], *, traces: bool) -> PassedOn:
    """Return grpc-gateway's headers and those of a list, whose names stay as they are."""
    every = list(names)
    # Binary values have to be decoded, as those are that are found by their beginning.
    own = {name.encode(): name for name in every if not name.endswith(("*", "-bin"))}
    beginnings = tuple(name.removesuffix("*").encode() for name in every if name.endswith(("*", "-bin")))
    return PassedOn({**_RENAMED, **(_TRACES if traces else {}), **own}, beginnings, traces)


def read_headers(headers: Iterable[tuple[bytes, bytes]], peer: str, wanted: PassedOn) -> Caller:
    """Return the metadata for the upstream and the few headers that the gateway itself uses.

    Raises:
        Failure: a Grpc-Timeout or a binary header is malformed.
    """
    metadata: Metadata = []
    own: dict[bytes, str] = {}
    forwarded: list[str] = []
    before: list[str] = []
    renames, beginnings, traces = wanted
    for name, raw in headers:
        value = raw.decode("latin-1").strip(" \t")
        if name in _OWN:
            own.setdefault(name, value)
        if name == b"x-forwarded-for":
            forwarded.append(value)
        elif name == _FORWARDED_METADATA:
            # gRPC sends one x-forwarded-for; what a client gives as metadata stands before the others.
            before.append(value)
        elif name.startswith(_PREFIX):
            _add_prefixed(metadata, name[len(_PREFIX) :].decode("latin-1"), value)
        elif (renamed := renames.get(name)) and value.isascii() and value.isprintable():
            metadata.append((renamed, value))
            if name == b"authorization" and renamed != "authorization":
                metadata.append(("authorization", value))
        elif beginnings and name.startswith(beginnings) and name not in renames and name not in _OF_THE_WAY:
            _add_prefixed(metadata, name.decode("latin-1"), value)
    metadata += _forwarding(own, before + forwarded, peer)
    request_id = ""
    if traces:
        given = own.get(b"x-request-id", "")
        request_id = given if _SAFE_ID.fullmatch(given) else os.urandom(16).hex()
        metadata = _traced(metadata, request_id, own.get(b"traceparent", ""))
    length = own.get(b"content-length", "0")
    timeout_text = own.get(b"grpc-timeout")
    return Caller(
        metadata,
        request_id,
        _timeout(timeout_text) if timeout_text else None,
        own.get(b"accept", ""),
        own.get(b"last-event-id"),
        int(length) if length.isdecimal() else 0,
        own.get(b"content-type", ""),
        own.get(b"x-http-method-override", ""),
        "trailers" in own.get(b"te", "").lower(),
        own.get(b"idempotency-key", ""),
        own.get(b"content-encoding", ""),
    )


_OWN = frozenset(
    b"host x-forwarded-host x-request-id traceparent grpc-timeout accept last-event-id content-length content-type "
    b"x-http-method-override te idempotency-key content-encoding".split()
)


def _traced(metadata: Metadata, request_id: str, traceparent: str) -> Metadata:
    """Return the metadata with the request's id, and with the client's trace or a new one that is named after it."""
    if traceparent and is_traceparent(traceparent) and sum(name == _TRACEPARENT for name, _ in metadata) == 1:
        kept = [pair for pair in metadata if pair[0] != REQUEST_ID]
    else:
        kept = [pair for pair in metadata if pair[0] not in _OF_A_TRACE]
        kept.append((_TRACEPARENT, new_traceparent(request_id)))
    kept.append((REQUEST_ID, request_id))
    return kept


def _forwarding(own: dict[bytes, str], forwarded: list[str], peer: str) -> Metadata:
    metadata: Metadata = []
    host = own.get(b"x-forwarded-host", "")
    if not host or not _is_sendable(host):
        host = own.get(b"host", "")
    if host and _is_sendable(host):
        metadata.append(("x-forwarded-host", host))
    if peer:
        forwarded = [*forwarded, peer]
    if forwarded and all(map(_is_sendable, forwarded)):
        metadata.append(("x-forwarded-for", ", ".join(forwarded)))
    return metadata


def _is_sendable(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _add_prefixed(metadata: Metadata, name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or name.startswith("grpc-") or name in _RESERVED:
        return
    if name.endswith("-bin"):
        try:
            metadata.append((name, decode_base64(value, url_safe=False, padded=len(value) % 4 == 0)))
        except ValueError:
            header = f"Grpc-Metadata-{name}"
            canonical = "-".join(part.capitalize() for part in header.split("-"))
            text = f"invalid binary header {canonical}: {corrupt_base64(value)}"
            raise invalid_field(header, f"invalid binary header {header}: illegal base64 data", go=text) from None
    elif value.isascii() and value.isprintable():
        metadata.append((name, value))


def _timeout(text: str) -> float:
    match = _TIMEOUT.fullmatch(text)
    if not match or int(match[1]) > _MAX_UINT64:
        message = f"invalid grpc-timeout: {text[:100]}"
        raise invalid_field("grpc-timeout", message, go=message)
    # Zero is no deadline, as for Go.
    return min(int(match[1]) * _UNIT_SECONDS[match[2]] or _LONGEST_SECONDS, _LONGEST_SECONDS)


def header_safe(value: bytes) -> bytes:
    """Return a header value without the control characters that HTTP forbids in it."""
    return value.translate(None, _FORBIDDEN)


def find_binary(metadata: Any, key: str) -> bytes | None:
    """Return a binary metadata value, or None."""
    for name, value in metadata or ():
        if name == key and isinstance(value, bytes):
            return value
    return None
