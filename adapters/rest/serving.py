"""Runs the REST adapter as a process."""

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import setproctitle
import uvicorn
from pydantic import ValidationError

from adapters.rest.app import build_app
from adapters.rest.binding import BindingInvalid
from adapters.rest.compression import Compression
from adapters.rest.descriptors import DescriptorSetInvalid
from adapters.rest.external_rules import RulesInvalid
from adapters.rest.hosting import RestApplication
from adapters.rest.http_protocol import HeadLimits, protocol_with
from adapters.rest.listening import ListenInvalid, open_sockets
from adapters.rest.rules import RuleInvalid
from adapters.rest.settings import RestSettings
from services.chassis import garbage, logs

_GOODBYE_SECONDS = 1
_MISTAKES = (DescriptorSetInvalid, RulesInvalid, RuleInvalid, BindingInvalid, ListenInvalid)


def run(given: Mapping[str, Any] | None = None) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code; running requests and streams get `drain_seconds`.

    `given` goes before the settings of the environment. An operator's mistake is one line and the exit code 1.
    """
    setproctitle.setproctitle("parley: rest")
    logs.configure_plain(logging.INFO)
    try:
        settings = RestSettings(**(given or {}))
        server = RestServer(settings)
        sockets = open_sockets(settings.listen)
    except ValidationError as error:
        first = error.errors()[0]
        return _refuse(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except _MISTAKES as error:
        return _refuse(str(error))
    garbage.settle()
    server.run(sockets)
    return 0 if server.started else 1


def _refuse(problem: str) -> int:
    sys.stderr.write(f"parley rest: {problem}\n")
    return 1


class RestServer(uvicorn.Server):
    """uvicorn, which on its way down ends the streams before it cancels what is left."""

    def __init__(self, settings: RestSettings) -> None:
        """Build the application.

        Raises:
            DescriptorSetInvalid, RulesInvalid, RuleInvalid: what it shall serve cannot be read or is wrong.
        """
        self._app = build_app(settings)
        self._settings = settings
        super().__init__(_config(self._app, settings))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Stop at the first signal; a second Ctrl-C does not wait. uvicorn's own would die of the signal at the end."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def startup(self, sockets: Any = None) -> None:
        """Listen on the given sockets, or on those that the settings name."""
        await super().startup(sockets or open_sockets(self._settings.listen))

    async def shutdown(self, sockets: Any = None) -> None:
        """Let requests and streams run for the drain time, then end the streams that are still open."""
        loop = asyncio.get_running_loop()
        goodbye = loop.call_later(self._settings.drain_seconds, self._app.gateway.streams.end)
        await super().shutdown(sockets)
        goodbye.cancel()


def _config(app: RestApplication, settings: RestSettings) -> uvicorn.Config:
    # One process with the fastest loop and parser; headers go on as they came.
    return uvicorn.Config(
        Compression(app) if settings.compress else app,
        loop="uvloop",
        http=protocol_with(HeadLimits(settings.max_url_bytes, settings.max_header_bytes)),
        ws="none",
        lifespan="on",
        # The address of the peer goes to the upstream as it is; who may set X-Forwarded-For is Envoy's matter.
        proxy_headers=False,
        server_header=False,
        access_log=settings.access_log,
        log_config=None,
        timeout_graceful_shutdown=settings.drain_seconds + _GOODBYE_SECONDS,
    )
