"""A real Keycloak with our realm, for tests that need no more of the house."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import assign_ports
from tests.support.polling import until

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "parley"
"""Where Keycloak is prepared once, for tests and `make stack` alike."""
_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class RunningKeycloak:
    """Where it is, and its secrets."""

    home: Path

    @property
    def port(self) -> int:
        """Where it listens itself."""
        return int(json.loads((self.home / "run" / "ports.json").read_text())["keycloak"])

    @property
    def url(self) -> str:
        """Its own URL."""
        return f"http://127.0.0.1:{self.port}/auth"

    def secret(self, name: str) -> str:
        """Return a generated secret."""
        return (self.home / "secrets" / name).read_text().strip()


@contextmanager
def running_keycloak(home: Path) -> Iterator[RunningKeycloak]:
    """Start it in HOME, about 10 s once it was prepared; nothing of it is left after the block."""
    home.mkdir(parents=True, exist_ok=True)
    edge = assign_ports(["edge"], home / "edge-port.json", set())["edge"]
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    env = theirs | {"PARLEY_HOME": str(home), "PARLEY_CACHE": str(CACHE), "PARLEY_EDGE_PORT": str(edge)}
    output = home / "terminal"
    with output.open("wb") as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.keycloak_house"],
            env=env,
            cwd=ROOT,
            stdout=terminal,
            stderr=terminal,
        )
    try:
        until(
            lambda: "Ctrl-C stops everything" in output.read_text() or process.poll() is not None,
            seconds=_SECONDS,
            what=f"Keycloak ({home})",
        )
        assert process.poll() is None, output.read_text()[-3000:]
        yield RunningKeycloak(home)
    finally:
        process.terminate()
        process.wait(60)
