"""The whole house as `parley up` starts it, for tests that go through the real edge."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.polling import until
from tests.support.stores import free_port

ADMIN_EMAIL = "admin@example.org"
ADMIN_PASSWORD = "an admin of the tests"
_READY = "Ctrl-C stops everything."
_START_SECONDS = 90
_STOP_SECONDS = 40


@dataclass(frozen=True)
class RunningMesh:
    """A house that is up. `edge` is its URL, `home` its data folder, `output` what it has said on the terminal."""

    process: "subprocess.Popen[bytes]"
    home: Path
    edge: str
    output: Path

    @property
    def pid(self) -> int:
        """The launcher's process id."""
        return self.process.pid

    @property
    def edge_target(self) -> str:
        """HOST:PORT of the edge."""
        return self.edge.removeprefix("http://")

    def part(self, name: str) -> dict[str, Any]:
        """Return what the launcher knows of a part now: pid, address, restarts, log."""
        state: dict[str, Any] = json.loads((self.home / "run" / "state.json").read_text())
        part: dict[str, Any] = state["parts"][name]
        return part

    def said(self) -> str:
        """Return what the launcher has said so far."""
        return self.output.read_text()


@contextmanager
def running_mesh(home: Path | None = None, **environment: str) -> Iterator[RunningMesh]:
    """Start the house with settings from `environment`, wait until it is ready, and stop it as Ctrl-C does.

    The model is the scripted one unless the environment says otherwise. `home` keeps the data for a later start.
    """
    with TemporaryDirectory(prefix="parley-") as folder:
        mesh = start(home or Path(folder) / "home", Path(folder) / "said.txt", environment)
        try:
            until(lambda: _ready(mesh), seconds=_START_SECONDS, what=f"the house ({mesh.output})")
            yield mesh
        finally:
            stop(mesh)


def start(home: Path, output: Path, environment: dict[str, str]) -> RunningMesh:
    """Start `parley up` without waiting for it."""
    port = environment.get("PARLEY_EDGE_PORT") or str(free_port())
    ours = {
        "PARLEY_INFERENCE_PROVIDER": "scripted",
        "PARLEY_IDENTITY_ADMIN_EMAIL": ADMIN_EMAIL,
        "PARLEY_IDENTITY_ADMIN_PASSWORD": ADMIN_PASSWORD,
        **environment,
        "PARLEY_HOME": str(home),
        "PARLEY_EDGE_PORT": port,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    with output.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "services", "up"], env={**inherited, **ours}, stdout=said, stderr=subprocess.STDOUT
        )
    return RunningMesh(process, home, f"http://127.0.0.1:{port}", output)


def stop(mesh: RunningMesh) -> None:
    """Stop the house as Ctrl-C does; it must end well and leave no process behind."""
    if mesh.process.poll() is None:
        mesh.process.send_signal(signal.SIGINT)
    try:
        code = mesh.process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        mesh.process.kill()
        raise
    assert code == 0, f"parley up ended with {code}:\n{mesh.said()[-3000:]}"


def _ready(mesh: RunningMesh) -> bool:
    assert mesh.process.poll() is None, f"parley up ended while starting:\n{mesh.said()[-3000:]}"
    return bool(re.search(re.escape(_READY), mesh.said()))
