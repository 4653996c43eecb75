"""The short form of `make faults`: everything at once, for a minute."""

from pathlib import Path

import pytest

from tests.faults.history import check, read
from tests.faults.nemesis import raging
from tests.faults.storm import Plan, storm

_PLAN = Plan(
    conversations=40,
    messages=10,
    pace=4,
    kill_worker=2,
    kill_broker=11,
    pause_worker=7,
    kill_postgres=17,
    flush_valkey=9,
)


@pytest.mark.timeout(600)
async def test_every_accepted_message_is_answered_once_and_in_order_whatever_dies(tmp_path: Path) -> None:
    async with storm(tmp_path, _PLAN) as running:
        async with raging(running, seed=1):
            await running.send_all()
        await running.wait_for_answers()
        await running.record()
    verdict = check(read(tmp_path / "history.jsonl"))
    print(verdict)
    assert verdict.accepted == _PLAN.conversations * _PLAN.messages
    assert {"kill worker", "kill broker", "kill postgres"} <= set(verdict.faults), "the test has shown nothing"
    assert verdict.holds, verdict
