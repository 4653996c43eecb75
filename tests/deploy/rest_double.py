"""A small HTTP/1.1 server in the place of the REST adapter: publishes keys and tells what reached it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class RestDouble(ThreadingHTTPServer):
    """Answers every path with what it received; `keys` is what it publishes, None for 503.

    A stream sends an event only after the one before it was read: somebody has called /api/read.
    """

    daemon_threads = True
    keys: dict[str, Any] | None = None
    was_read: threading.Semaphore


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RestDouble

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.endswith(":stream"):
            self._stream()
        elif self.path == "/.well-known/jwks.json":
            self._answer(200 if self.server.keys else 503, self.server.keys or {})
        else:
            if self.path == "/api/read":
                self.server.was_read.release()
            seen = {"method": self.command, "path": self.path, "bytes": len(body), "headers": dict(self.headers)}
            self._answer(404 if self.path.startswith("/unknown") else 200, seen)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = handle_any  # noqa: N815

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(3):
            event = f"id: {number}\ndata: {number}\n\n".encode()
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.wfile.flush()
            # The next one is sent when this one was read.
            if not self.server.was_read.acquire(timeout=30):
                return
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def running_rest_double(port: int, keys: dict[str, Any] | None) -> Iterator[RestDouble]:
    """Serve on the loopback port until the end of the block."""
    server = RestDouble(("127.0.0.1", port), _Handler)
    server.keys, server.was_read = keys, threading.Semaphore(0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
