"""Toxiproxy: TCP that is slow, is cut or falls silent. Built once, from the Go module proxy, at a pinned version."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.polling import until
from tests.support.stores import free_port

_MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"
_FOLDER = Path(__file__).parents[2] / ".cache" / "parley" / "toxiproxy-2.12.0"
_HOST = "127.0.0.1"


class Toxiproxy:
    """A running Toxiproxy; the proxies that it has, by name."""

    def __init__(self, api: httpx.Client) -> None:
        self._api = api

    def proxy(self, name: str, port: int) -> int:
        """Proxy a port of the loopback; return the port to connect to instead."""
        listen = free_port()
        wanted = {"name": name, "listen": f"{_HOST}:{listen}", "upstream": f"{_HOST}:{port}", "enabled": True}
        self._api.post("/proxies", json=wanted).raise_for_status()
        return listen

    def url(self, name: str, url: str) -> str:
        """Proxy the server that a URL names; return the URL to use instead."""
        port = urlsplit(url).port
        assert port is not None
        return url.replace(f":{port}/", f":{self.proxy(name, port)}/")

    def poison(self, name: str, kind: str, attributes: Mapping[str, int]) -> None:
        """Add a toxic to what flows back through a proxy, such as `latency` with `{"latency": 200}`."""
        wanted = {"type": kind, "stream": "downstream", "attributes": dict(attributes)}
        self._api.post(f"/proxies/{name}/toxics", json=wanted).raise_for_status()

    def heal(self, name: str) -> None:
        """Take every toxic away. Connections that were reset stay so; what fell silent stays closed."""
        for toxic in self._api.get(f"/proxies/{name}/toxics").raise_for_status().json():
            self._api.delete(f"/proxies/{name}/toxics/{toxic['name']}").raise_for_status()


@contextmanager
def running_toxiproxy() -> Iterator[Toxiproxy]:
    """Start a Toxiproxy without proxies."""
    port = free_port()
    command = [str(_built()), "-host", _HOST, "-port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://{_HOST}:{port}", timeout=30) as api:
            until(lambda: _answers(api), seconds=30, what="Toxiproxy")
            yield Toxiproxy(api)
    finally:
        process.terminate()
        process.wait(20)


def _built() -> Path:
    """Return the program, built if it is not there yet (some ten seconds)."""
    program = _FOLDER / "server"
    if not program.exists():
        # The one of the environment, else the machine's.
        go = shutil.which("go", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
        assert go is not None, "Go is missing"
        environment = os.environ | {"GOBIN": str(_FOLDER), "CGO_ENABLED": "0"}
        done = subprocess.run(
            [go, "install", "-trimpath", "-ldflags=-s -w", _MODULE],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-500:]
    return program


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/version").status_code == 200
    except httpx.TransportError:
        return False
