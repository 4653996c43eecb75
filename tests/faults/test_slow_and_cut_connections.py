"""The connections to the broker and to the database are slow, are cut and fall silent: nothing is lost or doubled.

PARLEY_FAULTS=long lets each last three times as long, past a lease.
"""

import asyncio
import os
from pathlib import Path

import pytest

from tests.faults.checker import check
from tests.faults.history import read
from tests.faults.nemesis import raging
from tests.faults.storm import Plan, Storm, storm
from tests.support.toxiproxy import Toxiproxy, running_toxiproxy

_LONG = os.environ.get("PARLEY_FAULTS") == "long"
_TOXIC_SECONDS = 9.0 if _LONG else 3.0
_TOXICS = (
    ("slow", "latency", {"latency": 250, "jitter": 150}),
    ("narrow", "bandwidth", {"rate": 20}),
    ("cut", "reset_peer", {"timeout": 100}),
    ("silent", "timeout", {"timeout": 0}),
)
"""What is done to a connection, Toxiproxy's name for it, and how much."""
_TO = ("rabbitmq", "postgres")


@pytest.mark.timeout(600)
async def test_slow_cut_and_silent_connections_lose_and_double_nothing(tmp_path: Path) -> None:
    # More is sent for as long as something is wrong.
    plan = Plan(conversations=30, messages=1000, pace=1.5)
    with running_toxiproxy() as toxiproxy:
        async with storm(tmp_path, plan, toxiproxy) as running:
            # Nothing dies; a tenth of the nudges comes twice.
            async with raging(running, seed=1):
                sending = asyncio.create_task(running.send_all())
                try:
                    await _trouble(running, toxiproxy)
                finally:
                    running.enough.set()
                    await sending
            await running.wait_for_answers()
            await running.record()
    verdict = check(read(tmp_path / "history.jsonl"))
    print(verdict)
    assert sum(verdict.faults.values()) == len(_TOXICS) * len(_TO)
    assert verdict.accepted > 100, "the test has shown nothing"
    assert verdict.holds, verdict


async def _trouble(running: Storm, toxiproxy: Toxiproxy) -> None:
    """Do each thing to each connection, one after the other."""
    for name, kind, attributes in _TOXICS:
        for server in _TO:
            await asyncio.to_thread(toxiproxy.poison, server, kind, attributes)
            await asyncio.sleep(_TOXIC_SECONDS)  # for so long it is wrong; nothing is waited for
            await asyncio.to_thread(toxiproxy.heal, server)
            running.history.write("fault", fault=f"{name} {server}")
