"""Runs the WebSocket adapter as a process."""

import asyncio
import logging
import signal
import sys

import setproctitle
import uvloop

from adapters.websocket.server import WebSocketServer
from adapters.websocket.settings import WebSocketSettings
from services.chassis import logs


def run() -> int:
    """Serve until SIGTERM or SIGINT and return the exit code; clients get `drain_seconds` to leave.

    Raises:
        DescriptorSetInvalid: the descriptor set cannot be read.
        ValidationError: a setting is wrong.
    """
    setproctitle.setproctitle("parley: websocket")
    logs.configure_plain(logging.INFO)
    # It reports every stranger that does not speak WebSocket, with a traceback.
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    server = WebSocketServer(WebSocketSettings())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(server))
    except OSError as error:
        # An operator's mistake is one clear line, not a traceback.
        sys.stderr.write(f"parley websocket: {error}\n")
        return 1
    return 0


async def _serve(server: WebSocketServer) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.run(stop)
