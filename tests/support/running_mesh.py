"""The whole house as people start it: `parley up` in a process of its own, driven through its edge only."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from deploy.local.ports import assign_ports
from tests.support.polling import until

PARLEY = str(Path(sys.executable).with_name("parley"))
ADMIN_EMAIL = "root@parley.test"
ADMIN_PASSWORD = "only for the tests, 77 of them"

_START_SECONDS = 240.0
_STOP_SECONDS = 40.0
_UP = "Ctrl-C stops everything"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class RunningMesh:
    """A `parley up` with a HOME and an edge port of its own. `start` it, `stop` it, `start` it again."""

    def __init__(self, home: Path, settings: dict[str, object]) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.port = assign_ports(["edge"], home / "edge-port.json", set())["edge"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.address = f"127.0.0.1:{self.port}"
        self._environment = environment(home, self.port, settings)
        self._output = home / "terminal"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start everything and return once it is ready; fails with the end of the terminal when it never is."""
        shown = len(self.text)
        with self._output.open("ab") as terminal:
            self._process = subprocess.Popen(
                [PARLEY, "up"], cwd=self.home, env=self._environment, stdout=terminal, stderr=terminal
            )
        process = self._process
        until(
            lambda: _UP in self.text[shown:] or process.poll() is not None,
            seconds=_START_SECONDS,
            what=f"a ready house ({self.home}):\n{self.text[-3000:]}\n",
        )
        assert process.poll() is None, f"parley up ended with {process.returncode}:\n{self.text[-3000:]}"

    @property
    def text(self) -> str:
        """Everything the terminal showed so far, without colours."""
        return _COLOURS.sub("", self._output.read_text()) if self._output.exists() else ""

    @property
    def settings(self) -> dict[str, str]:
        """What the house was told."""
        return {name: value for name, value in self._environment.items() if name.startswith("PARLEY_")}

    @property
    def launcher(self) -> psutil.Process:
        """The process of `parley up`."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    @property
    def parts(self) -> dict[str, Any]:
        """The parts that HOME/run/state.json lists."""
        parts: dict[str, Any] = json.loads((self.home / "run" / "state.json").read_text())["parts"]
        return parts

    def pid(self, part: str) -> int:
        """The process of a part."""
        return int(self.parts[part]["pid"])

    def port_of(self, part: str) -> int:
        """The port on which a part listens."""
        return int(str(self.parts[part]["address"]).rpartition(":")[2])

    def log(self, part: str) -> str:
        """What a part logged."""
        return Path(self.parts[part]["log"]).read_text()

    def wait_for(self, words: str, *, after: int = 0, seconds: float = 30) -> None:
        """Wait until the terminal showed the words behind its first `after` characters."""
        until(lambda: words in self.text[after:], seconds=seconds, what=f"«{words}» on the terminal")

    def stop(self) -> None:
        """Press Ctrl-C: it ends with 0 and leaves no process behind."""
        assert self._process is not None
        family = [self.launcher, *self.launcher.children(recursive=True)]
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(_STOP_SECONDS)
        self._process = None
        assert code == 0, f"parley up ended with {code}:\n{self.text[-3000:]}"
        until(lambda: not _alive(family), seconds=2, what=f"the end of {_alive(family)}")

    def abandon(self) -> None:
        """End it by all means, for a test that has failed already."""
        if self._process is not None and self._process.poll() is None:
            for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
                self._process.send_signal(number)
                try:
                    self._process.wait(_STOP_SECONDS / 4)
                    return
                except subprocess.TimeoutExpired:
                    continue


@contextmanager
def running_mesh(home: Path, **settings: object) -> Iterator[RunningMesh]:
    """Start a house in HOME; when the block ends, it stops cleanly and nothing of it is left."""
    mesh = RunningMesh(home, settings)
    try:
        mesh.start()
        yield mesh
        if mesh._process is not None:
            mesh.stop()
    finally:
        mesh.abandon()


def environment(home: Path, port: int, settings: dict[str, object]) -> dict[str, str]:
    """Return an environment with our settings only: the scripted model and an administrator unless told otherwise."""
    chosen = {
        "home": home,
        "edge_port": port,
        "inference_provider": "scripted",
        "identity_admin_email": ADMIN_EMAIL,
        "identity_admin_password": ADMIN_PASSWORD,
        # All the people of a test come from one address.
        "identity_attempts_per_address": 1_000_000,
        "identity_mails_per_client_per_hour": 1_000_000,
    } | settings
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    return theirs | {f"PARLEY_{name.upper()}": str(value) for name, value in chosen.items()}


def refused(home: Path, port: int, **settings: object) -> tuple[int, str]:
    """Run a `parley up` that must not come up; return its exit code and what it wrote to standard error."""
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [PARLEY, "up"],
        cwd=home,
        env=environment(home, port, settings),
        capture_output=True,
        text=True,
        timeout=_START_SECONDS,
        check=False,
    )
    return done.returncode, done.stderr


def _alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if _is_alive(process)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
