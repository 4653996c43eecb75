"""mTLS on the mesh: servers and channels that go on through a change of certificates."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

from services.chassis import logs
from services.chassis.certificates import CertificateFolder

_log = logs.get(__name__)
ENVOY = "envoy.parley.internal"
"""The name in the certificate of the mesh listener."""
# A call that was just begun may still be on its way to the old channel; then its calls end by themselves.
_OLD_CHANNEL_SECONDS = 10.0
_LONGEST_CALL_SECONDS = 3600.0

OpenChannel = Callable[[grpc.ChannelCredentials], grpc.aio.Channel]


def server_credentials(folder: CertificateFolder) -> grpc.ServerCredentials:
    """Return credentials that demand the client's certificate, and take up a new one of ours with the next connection.

    Raises CertificateMissing.
    """
    version, first = _server_configuration(folder)
    seen = [version]

    def fetch() -> Any:
        # In gRPC's own thread, with each connection.
        if folder.version() == seen[0]:
            return None
        seen[0], configuration = _server_configuration(folder)
        return configuration

    return grpc.dynamic_ssl_server_credentials(first, fetch, require_client_authentication=True)


def _server_configuration(folder: CertificateFolder) -> tuple[str, Any]:
    version, certificate = folder.read()
    pair = (certificate.key, certificate.chain)
    return version, grpc.ssl_server_certificate_configuration([pair], certificate.authority)


def mesh_channel(
    target: str,
    certificates: Path | None,
    options: Sequence[tuple[str, Any]],
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
) -> grpc.aio.Channel:
    """Return a lazy channel to Envoy's mesh listener: plain without a folder, else mTLS with the certificate in it."""
    if certificates is None:
        return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
    # Whatever the address: who answers must be Envoy.
    named = (*options, ("grpc.ssl_target_name_override", ENVOY))

    def open_secure(credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(target, credentials, options=named, interceptors=interceptors)

    return RotatingChannel(CertificateFolder(certificates), open_secure)


class RotatingChannel(grpc.aio.Channel):
    """Hands calls to a channel that is replaced when the certificate is; calls of the one before end on it."""

    def __init__(self, folder: CertificateFolder, open_channel: OpenChannel) -> None:
        self._folder = folder
        self._open = open_channel
        self._version = ""
        self._channel: grpc.aio.Channel | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    def current(self) -> grpc.aio.Channel:
        """Return the channel for a call that begins now. Raises CertificateMissing."""
        if self._channel is None or self._folder.version() != self._version:
            self._version, certificate = self._folder.read()
            credentials = grpc.ssl_channel_credentials(certificate.authority, certificate.key, certificate.chain)
            before, self._channel = self._channel, self._open(credentials)
            if before is not None:
                _log.info("mesh channel replaced", version=self._version)
                task = asyncio.create_task(_retire(before))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)
        return self._channel

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return a callable, as a stub asks for."""
        return _Delegating(self, "unary_unary", method, arguments, options)

    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return a callable, as a stub asks for."""
        return _Delegating(self, "unary_stream", method, arguments, options)

    def stream_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return a callable, as a stub asks for."""
        return _Delegating(self, "stream_unary", method, arguments, options)

    def stream_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Return a callable, as a stub asks for."""
        return _Delegating(self, "stream_stream", method, arguments, options)

    async def close(self, grace: float | None = None) -> None:
        """Close what is open."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """See grpc.aio.Channel."""
        return self.current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """See grpc.aio.Channel."""
        await self.current().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """See grpc.aio.Channel."""
        await self.current().channel_ready()

    async def __aenter__(self) -> "RotatingChannel":
        return self

    async def __aexit__(self, exc_type: object, exc_val: object, exc_tb: object) -> None:
        await self.close()


class _Delegating:
    """One method of a stub, on whichever channel is current."""

    def __init__(
        self, channel: RotatingChannel, shape: str, method: str, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        self._channel = channel
        self._shape = shape
        self._of = (method, arguments, options)
        self._made: tuple[grpc.aio.Channel | None, Any] = (None, None)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        current = self._channel.current()
        if self._made[0] is not current:
            method, given, named = self._of
            self._made = (current, getattr(current, self._shape)(method, *given, **named))
        return self._made[1](*arguments, **options)


async def _retire(channel: grpc.aio.Channel) -> None:
    try:
        await asyncio.sleep(_OLD_CHANNEL_SECONDS)
        await channel.close(_LONGEST_CALL_SECONDS)
    except asyncio.CancelledError:
        await channel.close(None)
        raise
