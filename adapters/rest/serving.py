"""Runs the REST adapter as a process."""

import asyncio
import logging
import signal
from types import FrameType
from typing import Any

import setproctitle
import uvicorn

from adapters.rest.app import build_app
from adapters.rest.hosting import RestApplication
from adapters.rest.settings import RestSettings

_GOODBYE_SECONDS = 1


def run() -> int:
    """Serve until SIGTERM or SIGINT and return the exit code; running requests and streams get `drain_seconds`.

    Raises:
        DescriptorSetInvalid: the descriptor set cannot be read.
        ValidationError: a setting is wrong.
    """
    setproctitle.setproctitle("parley: rest")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    server = RestServer(RestSettings())
    server.run()
    return 0 if server.started else 1


class RestServer(uvicorn.Server):
    """uvicorn, which on its way down ends the streams before it cancels what is left."""

    def __init__(self, settings: RestSettings) -> None:
        """Build the application.

        Raises:
            DescriptorSetInvalid: the descriptor set cannot be read.
        """
        self._app = build_app(settings)
        self._drain_seconds = settings.drain_seconds
        super().__init__(_config(self._app, settings))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Stop at the first signal; a second Ctrl-C does not wait. uvicorn's own would die of the signal at the end."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: Any = None) -> None:
        """Let requests and streams run for the drain time, then end the streams that are still open."""
        loop = asyncio.get_running_loop()
        goodbye = loop.call_later(self._drain_seconds, self._app.gateway.streams.end)
        await super().shutdown(sockets)
        goodbye.cancel()


def _config(app: RestApplication, settings: RestSettings) -> uvicorn.Config:
    # One process with the fastest loop and parser; headers go on as they came.
    host, _, port = settings.listen.rpartition(":")
    return uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        # The address of the peer goes to the upstream as it is; who may set X-Forwarded-For is Envoy's matter.
        proxy_headers=False,
        server_header=False,
        access_log=settings.access_log,
        log_config=None,
        timeout_graceful_shutdown=settings.drain_seconds + _GOODBYE_SECONDS,
    )
