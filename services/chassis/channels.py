"""How services reach each other: one gRPC channel over the mesh, with a token and a deadline on every call."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from services.chassis import tracing
from services.chassis.client_credentials import TokenSource
from services.chassis.errors import ServiceTokenUnavailable
from services.chassis.interceptors import request_id
from services.chassis.mesh_tls import mesh_channel

DEFAULT_DEADLINE_SECONDS = 10.0
MAX_MESSAGE_BYTES = 11 * 1024 * 1024
MAX_METADATA_BYTES = 256 * 1024

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # After a restart of Envoy or a service, callers are back within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


def open_channel(target: str, tokens: TokenSource, certificates: Path | None = None) -> grpc.aio.Channel:
    """Return a lazy channel to `target` (HOST:PORT).

    Every call carries the service's token, the request id and a deadline. With a folder of `certificates` it is mTLS.
    """
    adorn = _adorning(tokens)
    return mesh_channel(target, certificates, _OPTIONS, [_UnaryUnary(adorn), _UnaryStream(adorn)])


Adorn = Callable[[grpc.aio.ClientCallDetails], Awaitable[grpc.aio.ClientCallDetails]]


def _adorning(tokens: TokenSource) -> Adorn:
    async def adorn(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        try:
            metadata.add("authorization", f"Bearer {await tokens.token()}")
        except ServiceTokenUnavailable as error:
            # As every other call that reaches nobody: callers know how to go on from there.
            empty = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, empty, empty, details=error.message) from error
        if current := request_id.current.get():
            metadata.add(request_id.METADATA_KEY, current)
        for name, value in tracing.headers().items():
            metadata.add(name, value)
        return grpc.aio.ClientCallDetails(
            method=details.method,
            timeout=DEFAULT_DEADLINE_SECONDS if details.timeout is None else details.timeout,
            metadata=metadata,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )

    return adorn


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, adorn: Adorn) -> None:
        self._adorn = adorn

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(await self._adorn(client_call_details), request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, adorn: Adorn) -> None:
        self._adorn = adorn

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(await self._adorn(client_call_details), request)
