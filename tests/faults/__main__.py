"""`make faults`: the long form. Prints the verdict and where the history lies; ends with 1 when anything is wrong."""

import argparse
import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp

from tests.faults.history import check, read
from tests.faults.nemesis import raging
from tests.faults.storm import Plan, storm


async def main(conversations: int, messages: int, pace: float, seed: int) -> int:
    """Send the messages through the storm and judge; return the exit code."""
    folder = Path(mkdtemp(prefix="parley-faults-"))
    plan = Plan(
        conversations=conversations,
        messages=messages,
        pace=pace,
        kill_worker=2,
        kill_broker=20,
        pause_worker=30,
        pause_services=45,
        kill_postgres=40,
        flush_valkey=25,
    )
    print(f"history: {folder / 'history.jsonl'}, seed {seed}")
    async with storm(folder, plan) as running:
        async with raging(running, seed):
            await running.send_all()
        await running.wait_for_answers()
        await running.record()
    verdict = check(read(folder / "history.jsonl"))
    for name, value in asdict(verdict).items():
        print(f"  {name.replace('_', ' ')}: {value}")
    return 0 if verdict.holds else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--conversations", type=int, default=500)
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--pace", type=float, default=8.0, help="seconds between the messages of a conversation")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.conversations, given.messages, given.pace, given.seed)))
