"""`python -m tests.benchmarks.rest.serve APP SERVER PORT`: runs an application of apps.py under an ASGI server."""

import asyncio
import logging
import sys
from typing import Any

from tests.benchmarks.rest import apps

_HOST = "127.0.0.1"


def main(app: str, server: str, port: int) -> None:
    """Serve until somebody ends the process."""
    logging.disable(logging.WARNING)
    if app == "adapter_json_format":
        apps.use_json_format()
        app = "adapter"
    if server == "product":
        # Just as `parley rest` runs it.
        from adapters.rest.serving import RestServer

        RestServer(apps.settings(f"{_HOST}:{port}")).run()
        return
    {"uvicorn": _uvicorn, "granian": _granian, "hypercorn": _hypercorn}[server](app, port)


def _uvicorn(app: str, port: int) -> None:
    import uvicorn

    options: dict[str, Any] = {"loop": "uvloop", "http": "httptools", "ws": "none", "access_log": False}
    uvicorn.run(getattr(apps, app)(), host=_HOST, port=port, log_config=None, lifespan="on", **options)


def _granian(app: str, port: int) -> None:
    from granian import Granian
    from granian.constants import Interfaces, Loops

    Granian(
        f"tests.benchmarks.rest.apps:{app}",
        address=_HOST,
        port=port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        factory=True,
        workers=1,
        websockets=False,
        log_enabled=False,
    ).serve()


def _hypercorn(app: str, port: int) -> None:
    import uvloop
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"{_HOST}:{port}"]
    config.accesslog = None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(getattr(apps, app)(), config))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
