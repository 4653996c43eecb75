"""`small_house` as a process: started, watched and ended."""

import json
import os
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


class Launched:
    """A running launcher and what it prints."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes], output: Path) -> None:
        self.home = home
        self.process = process
        self._output = output

    @property
    def text(self) -> str:
        """Everything printed so far."""
        return self._output.read_text()

    @property
    def parts(self) -> dict[str, Any]:
        """The parts that HOME/run/state.json lists."""
        parts: dict[str, Any] = json.loads((self.home / "run" / "state.json").read_text())["parts"]
        return parts

    def pid(self, part: str) -> int:
        """The pid of a part."""
        return int(self.parts[part]["pid"])

    def wait_up(self) -> None:
        """Wait for the last line of the welcome."""
        self.wait_for("Ctrl-C stops everything")

    def wait_for(self, words: str, seconds: float = 15) -> None:
        """Wait until the words were printed."""
        until(lambda: words in self.text, seconds=seconds, what=f"«{words}»")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


@contextmanager
def launched(scenario: str, home: Path, **settings: object) -> Iterator[Launched]:
    """Start the scenario in HOME; nothing of it is left after the block."""
    home.mkdir(exist_ok=True)
    port = assign_ports(["edge"], home / "edge-port.json", set())["edge"]
    chosen = {"PARLEY_EDGE_PORT": port} | {f"PARLEY_{name.upper()}": value for name, value in settings.items()}
    output = home / "terminal"
    with output.open("ab") as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.deploy.small_house", scenario],
            env=os.environ | {"PARLEY_HOME": str(home)} | {name: str(value) for name, value in chosen.items()},
            stdout=terminal,
            stderr=terminal,
        )
    try:
        yield Launched(home, process, output)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def is_gone(pid: int) -> bool:
    """Whether no process (a zombie is none) has the pid."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
