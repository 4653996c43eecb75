"""Runs a function on bytes of strangers in a child process of its own, which may hang, burst or die."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.chassis import logs
from services.chassis.errors import Kind, ServiceError
from services.chassis.sandbox import child
from services.chassis.sandbox.child import Refused

__all__ = ["LimitExceeded", "Limits", "Refused", "Sandbox", "SandboxBusy"]

_log = logs.get(__name__)
_WAIT_SECONDS = 20.0
_CHUNK_BYTES = 65_536
_MEBIBYTE = 1_048_576


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may take. Wall time is generous: a busy machine must not refuse what is harmless."""

    memory_bytes: int = 384 * _MEBIBYTE
    cpu_seconds: int = 3
    seconds: float = 15.0
    output_bytes: int = 8 * _MEBIBYTE


class LimitExceeded(Exception):
    """The run was ended; the text says by which limit, for the person who sent the input."""


class SandboxBusy(ServiceError):
    """Too many inputs are being read at this moment."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "SANDBOX_BUSY"
    template = "too many such inputs are being read now; try again"

    @property
    def retry_after_seconds(self) -> float:
        return 5.0


class Sandbox:
    """Starts a child process for each run and bounds how many there are at once: in all, and one for each owner."""

    def __init__(self, at_once: int = 2, limits: Limits | None = None) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._limits = limits or Limits()
        self._owners: dict[str, asyncio.Lock] = {}

    async def run(self, function: str, payload: bytes, owner: str = "", limits: Limits | None = None) -> bytes:
        """Call MODULE:NAME, which takes and returns bytes, in a child process and return what it returns.

        Raises:
            Refused: the function says that the input cannot be used.
            LimitExceeded: the run took more than it may, or died.
            SandboxBusy: no child could be started within 20 s, because of others or of the same owner.
        """
        async with self._slot(owner):
            return await _run(function, payload, limits or self._limits)

    @asynccontextmanager
    async def _slot(self, owner: str) -> AsyncIterator[None]:
        lock = self._owners.setdefault(owner, asyncio.Lock()) if owner else asyncio.Lock()
        try:
            async with contextlib.AsyncExitStack() as held:
                try:
                    async with asyncio.timeout(_WAIT_SECONDS):
                        # The owner's turn first: who waits for himself takes no slot.
                        await held.enter_async_context(lock)
                        await held.enter_async_context(self._slots)
                except TimeoutError:
                    raise SandboxBusy from None
                yield
        finally:
            if not lock.locked():
                self._owners.pop(owner, None)


async def _run(function: str, payload: bytes, limits: Limits) -> bytes:
    process = _start(function, payload, limits)
    try:
        async with asyncio.timeout(limits.seconds):
            output = await _output(process, limits.output_bytes)
            code = await asyncio.to_thread(_reaped, process)
    except TimeoutError:
        raise LimitExceeded(f"takes more than {limits.seconds:g} s") from None
    finally:
        await asyncio.shield(asyncio.to_thread(_end, process))
    if code == 0 and output[:1] == child.DONE:
        return output[1:]
    if code == 0 and output[:1] == child.REFUSED:
        raise Refused(output[1:].decode(errors="replace"))
    if code != 0:
        _log.warning("a sandbox's child died", function=function, code=code)
    raise LimitExceeded(_cause(code, limits))


def _cause(code: int, limits: Limits) -> str:
    """Say which limit ended a child that gave no answer."""
    # Native allocators that get no memory end their process by SIGABRT.
    if code in (0, -signal.SIGABRT):
        return f"takes more than {limits.memory_bytes // _MEBIBYTE} MiB of memory"
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"takes more than {limits.cpu_seconds} s of computing"
    if code == -signal.SIGALRM:
        return f"takes more than {limits.seconds:g} s"
    return "ends the program that reads it"


def _start(function: str, payload: bytes, limits: Limits) -> "subprocess.Popen[bytes]":
    """Start the child.

    A plain Popen on the loop's own thread: it uses vfork, which gRPC's threads stand (uvloop forks), and the child's
    death signal comes when the thread that started it ends.
    """
    arguments = [function, os.getpid(), limits.memory_bytes, limits.cpu_seconds, limits.seconds + 1]
    with open(os.memfd_create("sandbox"), "r+b", buffering=0) as file:  # noqa: PTH123 - a file without a path
        file.write(payload)
        file.seek(0)
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", child.__file__, json.dumps(_folders()), json.dumps(arguments)],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )


def _folders() -> list[str]:
    """Return where this process imports from, by absolute paths: the child has another working directory or none."""
    return [str(Path(folder).resolve()) for folder in sys.path]


async def _output(process: "subprocess.Popen[bytes]", most: int) -> bytes:
    """Return what the child writes until it closes its end. Raises LimitExceeded when that is too much."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
    parts, length = [], 0
    try:
        while part := await reader.read(_CHUNK_BYTES):
            parts.append(part)
            length += len(part)
            if length > most:
                raise LimitExceeded(f"becomes more than {most} bytes")
    finally:
        transport.close()
    return b"".join(parts)


def _reaped(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the child's end, kill what it left behind in its session, and return its exit code."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the child with all of its session, if it still runs, and take its exit code."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
