"""A background loop that fails is started again."""

import asyncio
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from services.chassis.supervision import keep_running


async def test_a_failing_loop_is_started_again_with_growing_pauses() -> None:
    started: list[float] = []
    clock = asyncio.get_running_loop().time

    async def loop() -> None:
        started.append(clock())
        if len(started) < 4:
            raise RuntimeError("lost the connection")

    with capture_logs() as logs:
        await keep_running("relay", loop)
    assert len(started) == 4
    pauses = [later - earlier for earlier, later in pairwise(started)]
    assert [entry["pause_seconds"] for entry in logs] == [0.1, 0.2, 0.4]
    assert all(pause >= told - 0.01 for pause, told in zip(pauses, (0.1, 0.2, 0.4), strict=True))
    assert {entry["loop"] for entry in logs} == {"relay"}
    assert all(entry["exc_info"] for entry in logs)


async def test_a_loop_that_ends_is_not_started_again() -> None:
    started = []

    async def loop() -> None:
        started.append(1)

    await keep_running("once", loop)
    assert started == [1]


async def test_a_cancelled_loop_stays_down() -> None:
    begun = asyncio.Event()

    async def loop() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(keep_running("forever", loop))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
