"""A real Envoy with the rendered configuration, in front of whatever listens on its upstream ports."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.envoy.contract import load_descriptors
from deploy.envoy.render import render
from deploy.envoy.settings import EnvoySettings
from deploy.local.envoy import find_program
from deploy.local.ports import assign_ports
from tests.deploy.tokens import AUDIENCE, ISSUER
from tests.support.polling import until


@dataclass(frozen=True)
class House:
    """Where everything listens."""

    edge: int
    mesh: int
    admin: int
    services: int
    rest: int
    websocket: int
    folder: Path

    @property
    def url(self) -> str:
        """The edge's URL."""
        return f"http://127.0.0.1:{self.edge}"

    def settings(self, **changes: object) -> EnvoySettings:
        """Settings for these ports, with some changes."""
        at = {
            name: f"127.0.0.1:{getattr(self, name)}"
            for name in ("edge", "mesh", "admin", "services", "rest", "websocket")
        }
        values = at | {"issuer": ISSUER, "audience": AUDIENCE, "access_log": str(self.folder / "access.log")} | changes
        return EnvoySettings(**values)  # type: ignore[arg-type]


def plan_house(folder: Path) -> House:
    """Choose free ports."""
    ports = assign_ports(["edge", "mesh", "admin", "services", "rest", "websocket"], folder / "ports.json", set())
    return House(**ports, folder=folder)


@contextmanager
def running_envoy(house: House, **changes: object) -> Iterator[None]:
    """Run Envoy, with some settings changed, until the end of the block."""
    configuration = house.folder / "envoy.yaml"
    configuration.write_text(render(house.settings(**changes), load_descriptors()))
    command = [find_program(), "-c", str(configuration), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
    process = subprocess.Popen([*command, "--file-flush-interval-msec", "50"], stderr=sys.stderr)
    try:
        until(lambda: _is_ready(house.admin), seconds=10, what="Envoy")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _is_ready(admin: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{admin}/ready").status_code == 200
    except httpx.TransportError:
        return False
