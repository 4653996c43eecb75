"""The disk of the broker is full: what is sent is accepted all the same, and answered once there is room again."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.checker import check
from tests.faults.history import read
from tests.faults.storm import Plan, storm

_MIB = 1024 * 1024
_DISK_BYTES = 300 * _MIB


@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
async def test_messages_are_accepted_while_the_brokers_disk_is_full_and_answered_afterwards(tmp_path: Path) -> None:
    plan = Plan(conversations=40, messages=5, pace=1)
    with _small_disk(tmp_path / "broker") as disk:
        async with storm(tmp_path, plan) as running:
            await running.broker.settled()
            ballast = _fill(disk)
            running.history.write("fault", fault="disk full")
            await running.send_all()
            assert running.refusals == 0
            assert _free(disk) < _MIB, "the test has shown nothing"
            ballast.unlink()
            # RabbitMQ's Raft log dies of a full disk, with its node or, worse, without: then it never comes back alone.
            running.broker.kill()
            await asyncio.to_thread(running.broker.start)
            await running.wait_for_answers()
            await running.record()
    verdict = check(read(tmp_path / "history.jsonl"))
    print(verdict)
    assert verdict.accepted == plan.conversations * plan.messages
    assert verdict.holds, verdict


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(disk: Path) -> Path:
    """Take all the room of a disk; return the file to delete."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (_MIB, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


def _free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize
