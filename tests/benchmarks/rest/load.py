"""Load on an HTTP address: by wrk where it is installed, else by a client in Python, which costs far more."""

import asyncio
import json
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.http_client import HttpConnection
from tests.benchmarks.rest.echo import BODY_PATH, RESOURCE_PATH, TEXT

_HOST = "127.0.0.1"
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_SCRIPT = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{body}'
"""


class Figure(NamedTuple):
    """One run."""

    rate: float
    p50: float
    errors: int
    foreign: float = 0.0
    """How many cores others kept busy meanwhile."""


def generator() -> str:
    """Return the name of the load generator."""
    return "wrk" if shutil.which("wrk") else "Python client"


def put_load(port: int, method: str, connections: int, seconds: float, folder: Path, core: int) -> Figure:
    """Send GETs or POSTs over connections that stay open, from one core."""
    if shutil.which("wrk"):
        return _wrk(port, method, connections, seconds, folder, core)
    return asyncio.run(_python(port, method, connections, seconds))


async def check(port: int) -> None:
    """Fail unless the subject echoes: who answers wrongly is fast for nothing."""
    async with HttpConnection(_HOST, port) as connection:
        status, body = await connection.call("GET", RESOURCE_PATH + "r")
        assert (status, json.loads(body)["resourceId"]) == (200, "r"), (status, body)
        status, body = await connection.call("POST", BODY_PATH, {"id": TEXT})
        assert (status, json.loads(body)["id"]) == (200, TEXT), (status, body)


def _wrk(port: int, method: str, connections: int, seconds: float, folder: Path, core: int) -> Figure:
    path = RESOURCE_PATH + "r" if method == "GET" else BODY_PATH
    arguments = ["taskset", "-c", str(core)] if shutil.which("taskset") else []
    arguments += ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency"]
    if method == "POST":
        script = folder / "post.lua"
        script.write_text(_SCRIPT.replace("{body}", json.dumps({"id": TEXT})))
        arguments += ["-s", str(script)]
    done = subprocess.run([*arguments, f"http://{_HOST}:{port}{path}"], capture_output=True, text=True, check=True)
    text = done.stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    assert rate is not None, text
    assert median is not None, text
    errors = int(bad[1]) if bad else 0
    errors += sum(map(int, sockets.groups())) if sockets else 0
    return Figure(float(rate[1]), float(median[1]) * _MILLISECONDS[median[2]], errors)


async def _python(port: int, method: str, connections: int, seconds: float) -> Figure:
    times: list[float] = []
    errors = 0
    began = time.perf_counter()
    stop = began + seconds

    async def loop() -> None:
        nonlocal errors
        async with HttpConnection(_HOST, port) as connection:
            while (started := time.perf_counter()) < stop:
                if method == "GET":
                    status, _ = await connection.call("GET", RESOURCE_PATH + "r")
                else:
                    status, _ = await connection.call("POST", BODY_PATH, {"id": TEXT})
                errors += status != 200
                times.append(time.perf_counter() - started)

    await asyncio.gather(*[loop() for _ in range(connections)])
    return Figure(len(times) / (time.perf_counter() - began), statistics.median(times) * 1000, errors)
