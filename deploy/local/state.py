"""HOME/run/state.json: which process is which part, for tests, fault tools and the next start."""

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.local.folders import write_atomically

_LEFTOVER_SECONDS = 15.0


@dataclass(slots=True)
class PartState:
    """One part as it runs now. `started` tells a process from a later one with the same pid."""

    title: str
    pid: int
    address: str
    log: str
    restarts: int = 0
    started: int = 0


@dataclass(slots=True)
class State:
    """What runs. `write` puts it into the file; call it after every change."""

    path: Path
    edge_url: str
    parts: dict[str, PartState] = field(default_factory=dict)

    def record(self, name: str, part: PartState) -> None:
        """Note a started part and write the file."""
        part.started = _start_ticks(part.pid)
        self.parts[name] = part
        self.write()

    def write(self) -> None:
        """Replace the file atomically."""
        parts = {name: asdict(part) for name, part in self.parts.items()}
        text = {"pid": os.getpid(), "edge_url": self.edge_url, "parts": parts}
        write_atomically(self.path, json.dumps(text, indent=2))


def end_leftovers(path: Path) -> list[str]:
    """Wait for parts of a supervisor that was killed to end, then kill them; return the names of those killed.

    They were told to stop when their supervisor died. Two servers on one data folder would ruin it.
    """
    try:
        parts = json.loads(path.read_text())["parts"]
        left = {name: (part["pid"], part["started"]) for name, part in parts.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    while alive := [name for name, (pid, started) in left.items() if started and _start_ticks(pid) == started]:
        if time.monotonic() > deadline:
            for name in alive:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(left[name][0], signal.SIGKILL)
            return alive
        time.sleep(0.05)
    return []


def _start_ticks(pid: int) -> int:
    """The kernel's start time of a process; 0 when there is none (or it is a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])
