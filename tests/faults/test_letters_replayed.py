"""Dead letters are replayed twice over while services and workers are killed: each has its effect once."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.exceptions import QueueEmpty

from services.chassis.rabbitmq import connect
from tests.faults.checker import check
from tests.faults.history import read
from tests.faults.storm import Plan, Storm, storm
from tests.support.callers import Json, Person, edge_of, eventually, refusal
from tests.support.running_mesh import ADMIN_EMAIL, ADMIN_PASSWORD

_PLAN = Plan(conversations=30, messages=2, pace=0, workers=0)
_RATE = 15
_LETTERS = "/api/v1/admin/dead-letters"
_QUEUE = "incoming"


@pytest.mark.timeout(600)
async def test_letters_replayed_twice_while_services_and_workers_die_take_effect_once(tmp_path: Path) -> None:
    async with storm(tmp_path, _PLAN, inference_scripted_delay_ms=60) as running, edge_of(running.mesh.url) as edge:
        admin = await edge.person(ADMIN_EMAIL, ADMIN_PASSWORD)
        await running.send_all()
        # No worker runs, and the broker gives up every nudge, as it does with one that killed twenty workers.
        first = await _given_up(running, admin, set(), 1)
        assert {letter["failures"] for letter in first.values()} == {1}
        await _replay_twice(running, admin)
        shut = await admin.ask("POST", f"{_LETTERS}/{next(iter(first))}:replay", json={})
        refusal(shut, 400, 9, reason="DEAD_LETTER_CLOSED")
        # The same letters come back, and are replayed again, to workers that are killed.
        again = await _given_up(running, admin, set(first), 2)
        running.workers += [running.start_worker() for _ in range(2)]
        await eventually(running.all_started, seconds=120, what="the workers")
        killing = asyncio.create_task(_kill_workers(running, 3))
        await _replay_twice(running, admin)
        await killing
        await running.wait_for_answers()
        await running.record()
        actions = await _replays(admin)
    verdict = check(read(tmp_path / "history.jsonl"))
    print(verdict, {"letters": len(again), "replays": sum(actions.values())})
    assert verdict.accepted == _PLAN.conversations * _PLAN.messages
    assert verdict.faults == {"kill services": 2, "kill worker": 3}
    assert verdict.holds, verdict
    # Each was replayed once in each round, however often that was asked for.
    assert {actions[letter_id] for letter_id in first} == {2}


async def _given_up(running: Storm, admin: Person, known: set[str], failures: int) -> dict[str, Json]:
    """Move what waits for workers to the dead letters; return the letters once all of it is on the desk."""

    async def there() -> bool:
        await _give_up(running)
        found = await _open(admin)
        if known:
            return known <= {key for key, letter in found.items() if letter["failures"] == failures}
        # A conversation that nobody answers is nudged anew meanwhile: that makes letters of its own.
        return len(found) >= _PLAN.conversations * _PLAN.messages

    await eventually(there, seconds=120, what="the dead letters")
    return await _open(admin)


async def _give_up(running: Storm) -> None:
    connection = await connect(running.broker.url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        queue = await channel.get_queue(_QUEUE, ensure=True)
        while True:
            try:
                message = await queue.get(timeout=10)
            except QueueEmpty:
                return
            dead = aio_pika.Message(message.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(dead, routing_key=f"{_QUEUE}.XQ", mandatory=True)
            await message.ack()


async def _open(admin: Person) -> dict[str, Json]:
    chosen = {"pageSize": 1000, "filter.queue": _QUEUE, "filter.state": "DEAD_LETTER_STATE_OPEN"}
    return {letter["id"]: letter for letter in (await admin.get(_LETTERS, **chosen))["deadLetters"]}


async def _replay_twice(running: Storm, admin: Person) -> None:
    """Begin two replays of all open letters, kill the services in the middle, and return when both have ended."""
    begun = [
        await admin.post(f"{_LETTERS}:replay", filter={"queue": _QUEUE}, ratePerSecond=_RATE, requestId=str(uuid4()))
        for _ in range(2)
    ]
    paths = [f"/api/v1/admin/{operation['name']}" for operation in begun]

    async def replayed() -> int:
        found = [(await admin.ask("GET", path)) for path in paths]
        return sum(answer.json()["metadata"]["replayed"] for answer in found if answer.status_code == 200)

    async def under_way() -> bool:
        total: int = begun[0]["metadata"]["total"]
        return 0 < await replayed() < total

    async def ended() -> bool:
        found = [(await admin.ask("GET", path)) for path in paths]
        return all(answer.status_code == 200 and answer.json()["done"] for answer in found)

    await eventually(under_way, seconds=60, what="replays under way")
    os.kill(running.mesh.pid("services"), signal.SIGKILL)
    running.history.write("fault", fault="kill services")
    await eventually(ended, seconds=180, what="the end of the replays")


async def _kill_workers(running: Storm, count: int) -> None:
    for _ in range(count):

        async def one_works() -> bool:
            return any(worker.works for worker in running.workers)

        await eventually(one_works, seconds=120, what="a worker that works")
        next(worker for worker in running.workers if worker.works).kill()
        running.history.write("fault", fault="kill worker")


async def _replays(admin: Person) -> Counter[str]:
    """Return how often each letter was replayed, as it was written down."""
    listed = (await admin.get("/api/v1/admin/actions", pageSize=1000))["actions"]
    return Counter(action["subjectId"] for action in listed if action["verb"] == "replay")
