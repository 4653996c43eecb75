"""`parley websocket` as a process."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from websockets.asyncio.client import connect

from deploy.local.ports import assign_ports
from tests.support.polling import until


def _command(port: int) -> tuple[list[str], dict[str, str]]:
    settings = {"PARLEY_WEBSOCKET_LISTEN": f"127.0.0.1:{port}", "PARLEY_WEBSOCKET_UPSTREAM": "127.0.0.1:1"}
    return [sys.executable, "-m", "services", "websocket"], os.environ | settings


def _started(port: int) -> subprocess.Popen[bytes]:
    argv, env = _command(port)
    return subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


async def test_sigterm_sends_clients_elsewhere_and_ends_the_process(tmp_path: Path) -> None:
    port = assign_ports(["websocket"], tmp_path / "ports.json", set())["websocket"]
    process = _started(port)
    try:
        await asyncio.to_thread(until, lambda: _answers(port), seconds=20, what="the adapter")
        url = f"ws://127.0.0.1:{port}/connection/websocket"
        sockets = [await connect(url, proxy=None) for _ in range(10)]
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        for each in sockets:
            push = json.loads(await each.recv())["push"]
            assert push["disconnect"] == {"code": 3001, "reason": "shutdown", "reconnect": True}
            await each.wait_closed()
            assert each.close_code == 3001
        assert await asyncio.to_thread(process.wait, 10) == 0
        assert time.monotonic() - began < 5
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def test_a_busy_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        argv, env = _command(taken.getsockname()[1])
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("parley websocket: ")
