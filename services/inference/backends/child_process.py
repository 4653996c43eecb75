"""A process that hears from us on standard input, says one line when it is ready, and ends when its input ends."""

import asyncio
import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

_STOP_SECONDS = 3.0


class ChildProcess:
    """One running process.

    It is a plain Popen because that uses vfork. The event loop's own subprocesses, uvloop's at least, fork; with
    gRPC's threads in the process the child then sometimes dies before it has become the program.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process.poll() is None else None

    @property
    def code(self) -> int | None:
        """The exit code once it has ended; negative for a signal."""
        return self._process.poll()

    async def exchange(self, line: str, seconds: float) -> str:
        """Send a line and return the line that comes back, empty when the process ends first.

        Raises:
            TimeoutError: nothing came within `seconds`. The process should be stopped then.
        """
        async with asyncio.timeout(seconds):
            return await asyncio.to_thread(self._exchange, line)

    def _exchange(self, line: str) -> str:
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError), self._process.stdout as answers:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
            return answers.readline().decode().strip()
        return ""

    async def ended(self) -> int:
        """Return the exit code once the process has ended."""
        return await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        """End its input, and kill it when it has not ended within 3 s."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start(command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> ChildProcess:
    """Start a process that writes its errors to `log`. Ctrl-C in our terminal does not reach it."""
    process = subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        start_new_session=True,
    )
    return ChildProcess(process)
