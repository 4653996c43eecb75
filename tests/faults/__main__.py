"""`make faults`: the long form, 10,000 messages. Prints the verdict and where the history lies.

Ends with 1 when anything is wrong, or when a fault that it promises never bit. What could not be sent before `--limit`
is not sent: the rest is judged.
"""

import argparse
import asyncio
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp

from tests.faults.checker import check
from tests.faults.history import read
from tests.faults.nemesis import missed, raging
from tests.faults.storm import Plan, storm


async def main(given: argparse.Namespace) -> int:
    """Send the messages through the storm and judge; return the exit code."""
    folder = Path(mkdtemp(prefix="parley-faults-"))
    plan = Plan(
        conversations=given.conversations,
        messages=given.messages,
        pace=given.pace,
        kill_worker=2,
        kill_broker=20,
        pause_worker=30,
        pause_services=75,
        kill_postgres=40,
        flush_valkey=25,
        pause_seconds=given.pause,
    )
    # That the broker is away is what we do to it.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    print(f"history: {folder / 'history.jsonl'}, seed {given.seed}", flush=True)
    async with storm(folder, plan) as running:
        async with raging(running, given.seed):
            asyncio.get_running_loop().call_later(given.limit * 60, running.enough.set)
            await running.send_all()
        await running.wait_for_answers()
        await running.record()
    verdict = check(read(folder / "history.jsonl"))
    for name, value in asdict(verdict).items():
        print(f"  {name.replace('_', ' ')}: {value}")
    promised = missed(plan, verdict)
    print(f"  promised, and did not happen: {', '.join(promised) or 'nothing'}")
    return 0 if verdict.holds and not promised else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--conversations", type=int, default=500)
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--pace", type=float, default=25.0, help="seconds between the messages of a conversation")
    parser.add_argument("--pause", type=float, default=60.0, help="seconds for which a paused process sleeps")
    parser.add_argument("--limit", type=float, default=20.0, help="minutes after which no more is sent")
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(asyncio.run(main(parser.parse_args())))
