"""The short form of `make faults`: everything at once, until all of it has happened."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.checker import check
from tests.faults.history import read
from tests.faults.nemesis import Nemesis, missed, raging
from tests.faults.storm import Plan, Storm, storm

_PLAN = Plan(
    conversations=40,
    messages=1000,  # to each, for as long as faults are owed
    pace=4,
    kill_worker=2,
    kill_broker=21,
    pause_worker=4,
    kill_postgres=17,
    flush_valkey=9,
)
_LEAST_SECONDS = 40.0
_MOST_SECONDS = 240.0


@pytest.mark.timeout(900)
async def test_every_accepted_message_is_answered_once_and_in_order_whatever_dies(tmp_path: Path) -> None:
    async with storm(tmp_path, _PLAN) as running:
        async with raging(running, seed=1) as nemesis:
            sending = asyncio.create_task(running.send_all())
            await _all_has_happened(running, nemesis)
            running.enough.set()
            await sending
        await running.wait_for_answers()
        await running.record()
    verdict = check(read(tmp_path / "history.jsonl"))
    print(verdict)
    assert missed(_PLAN, verdict) == [], "the test has shown less than it promises"
    assert verdict.accepted > 100, "the test has shown nothing"
    assert verdict.holds, verdict


async def _all_has_happened(running: Storm, nemesis: Nemesis) -> None:
    """Return once each fault has bitten, and some time has passed; what never bites is named at the end."""
    begun = asyncio.get_running_loop().time()
    while not running.enough.is_set():
        passed = asyncio.get_running_loop().time() - begun
        if passed > _MOST_SECONDS or (passed > _LEAST_SECONDS and not nemesis.owes):
            return
        await asyncio.sleep(0.5)
