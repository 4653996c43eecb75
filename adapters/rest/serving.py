"""Runs the REST adapter as a process."""

import logging

import setproctitle
import uvicorn

from adapters.rest.app import build_app
from adapters.rest.settings import RestSettings


def run() -> int:
    """Serve until SIGTERM or SIGINT and return the exit code; running requests and streams get `drain_seconds`.

    Raises:
        DescriptorSetInvalid: the descriptor set cannot be read.
        ValidationError: a setting is wrong.
    """
    setproctitle.setproctitle("parley: rest")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    settings = RestSettings()
    server = uvicorn.Server(server_config(settings))
    server.run()
    return 0 if server.started else 1


def server_config(settings: RestSettings) -> uvicorn.Config:
    """Return how uvicorn serves the adapter: one process, the fastest loop and parser, headers left as they came."""
    host, _, port = settings.listen.rpartition(":")
    return uvicorn.Config(
        build_app(settings),
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
        timeout_graceful_shutdown=settings.drain_seconds,
    )
