"""`python -m tests.benchmarks.rest.servers`: what each ASGI server can do that a gateway needs, seen from outside."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

_HOST = "127.0.0.1"
SERVERS = ("uvicorn", "granian", "hypercorn")


class Probe:
    """An application that streams, echoes in full duplex and waits for its client to leave."""

    def __init__(self) -> None:
        self.left = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"].rpartition(".")[2]
                await send({"type": f"lifespan.{kind}.complete"})
                if kind == "shutdown":
                    return
        behave = {"/stream": self._stream, "/duplex": self._duplex, "/wait": self._wait}.get(scope["path"], self._tell)
        await behave(scope, receive, send)

    async def _stream(self, scope: Any, receive: Any, send: Any) -> None:
        trailers = "http.response.trailers" in scope.get("extensions", {})
        await _start(send, trailers=trailers)
        for number in range(3):
            await send({"type": "http.response.body", "body": f"{number}\n".encode(), "more_body": True})
            await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b""})
        if trailers:
            await send({"type": "http.response.trailers", "headers": [(b"grpc-trailer-foo", b"1")]})

    async def _duplex(self, scope: Any, receive: Any, send: Any) -> None:
        await _start(send)
        more = True
        while more:
            event = await receive()
            more = event.get("more_body", False)
            await send({"type": "http.response.body", "body": event.get("body", b""), "more_body": more})

    async def _wait(self, scope: Any, receive: Any, send: Any) -> None:
        await _start(send)
        await send({"type": "http.response.body", "body": b"waiting\n", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left = True

    async def _tell(self, scope: Any, receive: Any, send: Any) -> None:
        extensions = sorted(scope.get("extensions") or ())
        body = json.dumps({"left": self.left, "extensions": extensions, "raw_path": bool(scope.get("raw_path"))})
        await _start(send)
        await send({"type": "http.response.body", "body": body.encode()})


async def _start(send: Any, *, trailers: bool = False) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": trailers})


def examine(port: int) -> dict[str, object]:
    """Return what the server on the port does."""
    answer = _exchange(port, "/tell")
    told = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    found: dict[str, object] = {"extensions": told["extensions"], "raw_path": told["raw_path"]}
    with _request(port, "GET /stream HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close\r\n\r\n") as stream:
        arrivals, text = [], b""
        while piece := stream.recv(65536):
            arrivals.append(time.perf_counter())
            text += piece
    found["flushes each chunk"] = arrivals[-1] - arrivals[0] > 0.3
    found["trailers"] = b"grpc-trailer-foo" in text.lower()
    head = "POST /duplex HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with _request(port, head + "3\r\none\r\n") as duplex:
        found["full duplex"] = _until(duplex, b"one")
        duplex.sendall(b"3\r\ntwo\r\n")
        found["full duplex"] = found["full duplex"] and _until(duplex, b"two")
    with _request(port, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") as waiting:
        _until(waiting, b"waiting")
    time.sleep(1)
    found["client's leaving seen within 1 s"] = b'"left": true' in _exchange(port, "/tell")
    return found


def _request(port: int, text: str) -> socket.socket:
    connection = socket.create_connection((_HOST, port), timeout=2)
    connection.sendall(text.encode())
    return connection


def _exchange(port: int, path: str) -> bytes:
    text = b""
    with _request(port, f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n") as connection:
        while piece := connection.recv(65536):
            text += piece
    return text


def _until(connection: socket.socket, wanted: bytes) -> bool:
    text = b""
    try:
        while wanted not in text:
            piece = connection.recv(65536)
            if not piece:
                return False
            text += piece
    except TimeoutError:
        return False
    return True


def main() -> None:
    """Start each server with the probe and print what it does."""
    for server in SERVERS:
        with socket.socket() as holder:
            holder.bind((_HOST, 0))
            port = holder.getsockname()[1]
        command = [sys.executable, "-m", "tests.benchmarks.rest.serve", "probe", server, str(port)]
        process = subprocess.Popen(command, env=os.environ)
        try:
            for _ in range(200):
                with socket.socket() as knock:
                    if knock.connect_ex((_HOST, port)) == 0:
                        break
                time.sleep(0.05)
            print(server)
            for name, value in examine(port).items():
                print(f"  {name}: {value}")
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
