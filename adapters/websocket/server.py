"""The server: takes sockets, and on its way down sends their clients elsewhere, a few at a time."""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Iterator

from websockets.asyncio.server import Server, ServerConnection, serve

from adapters.rest.descriptors import read_descriptor_set
from adapters.websocket.codes import CONNECTION_LIMIT
from adapters.websocket.connection import Connection
from adapters.websocket.handshake import Handshake, client_address
from adapters.websocket.settings import WebSocketSettings
from adapters.websocket.upstream import Upstream
from services.chassis.mesh_tls import mesh_channel

_log = logging.getLogger(__name__)
_MESSAGE_BYTES = 11 * 1024 * 1024
_FIRST_FRAME_BYTES = 64 * 1024
_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # After a restart of Envoy, callers are back within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.primary_user_agent", "parley-websocket"),
)
_LEAVING_SECONDS = 0.01
_SHARE_FOR_LEAVING = 0.6


class WebSocketServer:
    """Serves the clients of one process."""

    def __init__(self, settings: WebSocketSettings) -> None:
        """Read the types.

        Raises:
            DescriptorSetInvalid: the descriptor set cannot be read.
        """
        self._settings = settings
        self._descriptors = read_descriptor_set(settings.descriptor_set)
        self._connections: set[Connection] = set()
        self._of_address: Counter[str] = Counter()
        self.port = 0
        """The port on which it listens, once it does."""

    async def run(self, stop: asyncio.Event, *, started: asyncio.Event | None = None) -> None:
        """Serve until `stop` is set, then drain. Raises OSError when the address cannot be listened on."""
        settings = self._settings
        host, _, port = settings.listen.rpartition(":")
        async with mesh_channel(settings.upstream, settings.mesh_certificates, _CHANNEL_OPTIONS) as channel:
            upstream = Upstream(channel, self._descriptors, settings.call_seconds)

            async def handle(socket: ServerConnection) -> None:
                with self._counted(client_address(socket)) as is_one_too_many:
                    if is_one_too_many:
                        await socket.close(*CONNECTION_LIMIT)
                        return
                    connection = Connection(socket, upstream, settings)
                    self._connections.add(connection)
                    try:
                        await connection.serve()
                    finally:
                        self._connections.discard(connection)

            server = await serve(
                handle,
                host.strip("[]"),
                int(port),
                process_request=Handshake(settings.origins, settings.environment),
                max_size=min(_FIRST_FRAME_BYTES, settings.max_frame_bytes),
                max_queue=1,
                # Of every client a compressor would cost more memory than all the rest, and words are short.
                compression=None,
                # The protocol has pings of its own, which browsers can see.
                ping_interval=None,
                close_timeout=1,
                server_header=None,
            )
            self.port = server.sockets[0].getsockname()[1]
            _log.info("listening on port %s", self.port)
            if started is not None:
                started.set()
            await stop.wait()
            await self._drain(server)

    @contextlib.contextmanager
    def _counted(self, address: str) -> Iterator[bool]:
        self._of_address[address] += 1
        try:
            yield self._of_address[address] > self._settings.max_sockets_per_address
        finally:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    async def _drain(self, server: Server) -> None:
        server.close(close_connections=False)
        connections = list(self._connections)
        random.shuffle(connections)
        # Not all at once: every client comes back right away, and costs a handshake and a check of its token.
        pause = min(_LEAVING_SECONDS, self._settings.drain_seconds * _SHARE_FOR_LEAVING / max(1, len(connections)))
        leaving: list[asyncio.Task[None]] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                for connection in connections:
                    leaving.append(asyncio.create_task(connection.leave()))
                    await asyncio.sleep(pause)
                await asyncio.gather(*leaving)
                await server.wait_closed()
        for task in leaving:
            task.cancel()
        _log.info("drained; %s clients were cut off", len(self._connections))
