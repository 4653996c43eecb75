"""One running process of a part: in a session of its own, its output in its log, never left behind."""

import asyncio
import contextlib
import ctypes
import json
import os
import pwd
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.local.errors import LaunchError
from deploy.local.part import Part

_PR_SET_PDEATHSIG = 1
# Looked up here: the child may not load libraries between fork and exec.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


class Child:
    """A started process and where its output begins in the log."""

    def __init__(self, part: Part, process: asyncio.subprocess.Process, log: Path, log_start: int) -> None:
        self.part = part
        self.pid = process.pid
        self._process = process
        self._log = log
        self._log_start = log_start

    async def wait(self) -> int:
        """Return the exit code once the process is gone, and take what it left running with it."""
        code = await self._process.wait()
        self._signal_group(signal.SIGKILL)
        return code

    async def stop(self) -> None:
        """Send the stop signal, and SIGKILL after the grace."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self.part.stop_signal)
            try:
                async with asyncio.timeout(self.part.stop_grace):
                    await self._process.wait()
            except TimeoutError:
                self.kill()
        await self.wait()

    def kill(self) -> None:
        """Send SIGKILL to the process and to all of its session."""
        self._signal_group(signal.SIGKILL)

    def last_words(self) -> str:
        """Return the last line it wrote, or an empty text."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(self._log_start, self._log.stat().st_size - 16_384))
                lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        except OSError:
            return ""
        return lines[-1].strip() if lines else ""

    def epitaph(self, code: int) -> str:
        """Say in one line how it ended."""
        name = f"{self.part.title} ({self.part.name})"
        if code < 0:
            # What it wrote before somebody killed it has nothing to do with its end.
            return f"{name} was killed by {signal.Signals(-code).name} [log: {self._log}]"
        words = readable(self.last_words())
        return f"{name} ended with exit code {code}{': ' + words if words else ''} [log: {self._log}]"

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def readable(line: str) -> str:
    """Shorten a log line for people: of a JSON line, what happened and the exception's last line."""
    try:
        entry = json.loads(line)
        exception = str(entry.get("exception") or "").strip().splitlines()
        line = ": ".join([str(entry["event"]), *exception[-1:]])
    except (ValueError, AttributeError, KeyError):
        pass
    return line[:300]


async def start_child(part: Part, log: Path) -> Child:
    """Start the part's process. Raises LaunchError when its program is missing or cannot run."""
    with log.open("ab") as output:
        log_start = output.tell()
        try:
            process = await asyncio.create_subprocess_exec(
                *part.argv,
                env=dict(part.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # The terminal's Ctrl-C is for the supervisor, which stops the parts in order.
                start_new_session=True,
                preexec_fn=_die_with(os.getpid(), part.stop_signal),
                user=part.user,
                group=group_of(part.user),
                extra_groups=[] if part.user else None,
            )
        except (OSError, KeyError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise LaunchError(f"{part.title} ({part.name}) cannot run {part.argv[0]}: {reason}") from error
    return Child(part, process, log, log_start)


def group_of(user: str | None) -> int | None:
    """Return the user's own group; None for None, as subprocess wants it."""
    return pwd.getpwnam(user).pw_gid if user else None


def _die_with(parent: int, number: signal.Signals) -> Callable[[], None] | None:
    """Make the kernel send the signal to the child when its parent dies, however that happens (Linux only)."""
    if _prctl is None:
        return None

    def arrange() -> None:
        _prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return arrange
