"""A function on hostile bytes: whatever becomes of its process, the service gets an answer in time and goes on."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from services.chassis.sandbox.running import LimitExceeded, Limits, Refused, Sandbox, SandboxBusy
from tests.services.chassis import sandboxed
from tests.support.polling import until

LIMITS = Limits(memory_bytes=150_000_000, cpu_seconds=1, seconds=20, output_bytes=1_000_000)
QUICK = Limits(seconds=0.5)


async def run(name: str, payload: bytes = b"", limits: Limits = LIMITS) -> bytes:
    """Run a function of `sandboxed` in a sandbox of its own."""
    return await Sandbox(limits=limits).run(f"{sandboxed.__name__}:{name}", payload)


def children() -> list[psutil.Process]:
    """Return the running children of this process that are sandboxes."""
    return [one for one in psutil.Process().children() if one.is_running() and "child.py" in " ".join(one.cmdline())]


async def test_it_returns_what_the_function_returns() -> None:
    large = os.urandom(900_000)
    assert await run("echo", large) == large


async def test_what_the_function_refuses_is_told() -> None:
    with pytest.raises(Refused, match=r"^the document is wrong$"):
        await run("refuse", b"the document")


@pytest.mark.parametrize(
    ("name", "payload", "limits", "told"),
    [
        ("hang", b"", QUICK, r"more than 0\.5 s$"),
        ("close_and_hang", b"", QUICK, r"more than 0\.5 s$"),
        ("compute", b"", LIMITS, "more than 1 s of computing"),
        ("remember", b"", LIMITS, "more than 143 MiB of memory"),
        ("flood", b"", LIMITS, "more than 1000000 bytes"),
        ("die", b"SIGSEGV", LIMITS, "ends the program"),
        ("die", b"SIGABRT", LIMITS, "memory"),
        ("die", b"SIGKILL", LIMITS, "computing"),
        ("die", b"SIGTERM", LIMITS, "ends the program"),
        ("die", b"SIGSTOP", QUICK, r"more than 0\.5 s$"),
        ("leave", b"3", LIMITS, "ends the program"),
        ("fail", b"", LIMITS, "ends the program"),
    ],
)
async def test_a_child_that_hangs_bursts_or_dies_is_an_error_of_this_run(
    name: str, payload: bytes, limits: Limits, told: str
) -> None:
    sandbox = Sandbox(limits=limits)
    with pytest.raises(LimitExceeded, match=told):
        await sandbox.run(f"{sandboxed.__name__}:{name}", payload)
    assert children() == []
    assert await sandbox.run(f"{sandboxed.__name__}:echo", b"next", limits=LIMITS) == b"next"


async def test_the_loop_goes_on_meanwhile() -> None:
    hostile = asyncio.create_task(run("compute"))
    longest = 0.0
    while not hostile.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)
    assert isinstance(hostile.exception(), LimitExceeded)
    assert longest < 1


@pytest.mark.parametrize("name", ["read_a_file", "connect"])
async def test_a_child_opens_nothing(name: str) -> None:
    with pytest.raises(Refused, match="Too many open files"):
        await run(name)


async def test_a_child_knows_nothing_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_SECRET", "not for children")
    assert b"PARLEY" not in await run("secrets")
    imported = set((await run("modules")).decode().split("\n"))
    assert not {"grpc", "sqlalchemy", "asyncio", "services.chassis.errors", "structlog"} & imported


async def test_a_child_ends_with_its_request() -> None:
    task = asyncio.create_task(run("hang"))
    while not children():
        await asyncio.sleep(0.01)
    (child,) = children()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(child.wait, 10)


def test_a_child_ends_with_its_service() -> None:
    program = (
        "import asyncio; from services.chassis.sandbox.running import Sandbox; "
        f"asyncio.run(Sandbox().run('{sandboxed.__name__}:hang', b''))"
    )
    service = subprocess.Popen([sys.executable, "-c", program])
    try:
        until(lambda: bool(psutil.Process(service.pid).children()), seconds=20, what="the child")
        (child,) = psutil.Process(service.pid).children()
    finally:
        service.send_signal(signal.SIGKILL)
        service.wait()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, seconds=10, what="its end")


async def test_only_so_many_run_at_once_and_one_for_each_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.chassis.sandbox.running._WAIT_SECONDS", 0.3)
    sandbox, hang = Sandbox(2, LIMITS), f"{sandboxed.__name__}:hang"
    first = asyncio.create_task(sandbox.run(hang, b"", "ann"))
    await asyncio.sleep(0)
    with pytest.raises(SandboxBusy):
        await sandbox.run(hang, b"", "ann")
    assert await sandbox.run(f"{sandboxed.__name__}:echo", b"hers", "bob") == b"hers"
    second = asyncio.create_task(sandbox.run(hang, b"", "bob"))
    await asyncio.sleep(0)
    with pytest.raises(SandboxBusy):
        await sandbox.run(hang, b"", "eve")
    assert len(children()) == 2
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert await sandbox.run(f"{sandboxed.__name__}:echo", b"free", "eve") == b"free"
