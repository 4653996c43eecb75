"""Schedules on a real PostgreSQL, with several schedulers."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.database import Database
from services.chassis.errors import ServiceError
from services.chassis.identifiers import new_id
from services.operations.errors import (
    EtagMismatch,
    RequestIdReused,
    ScheduleInvalid,
    ScheduleNotFound,
    TargetNotAllowed,
)
from services.operations.rules import Fire, MissedRuns, Schedule
from tests.acceptance.operations.conftest import Desk

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def wanted(**changes: object) -> Schedule:
    values: dict[str, object] = {
        "schedule_id": new_id(),
        "name": "nightly",
        "queue": "brittle",
        "actor": "brittle",
        "payload": '{"number": 1}',
        "created_by": "",
        "created_at": NOON,
        "updated_at": NOON,
        "cron": "* * * * *",
    }
    return Schedule(**values | changes)  # type: ignore[arg-type]


async def make(desk: Desk, **changes: object) -> Schedule:
    desk.now = NOON
    return await desk.schedules.create(wanted(**changes), "ann", None)


async def fires(desk: Desk, schedule: Schedule) -> list[Fire]:
    """Return all fires, the oldest first."""
    page, token = await desk.schedules.fires(schedule.schedule_id, 1000, "")
    assert token == ""
    return list(page)[::-1]


async def test_a_schedule_fires_at_its_times_and_sends_its_job(desk: Desk) -> None:
    schedule = await make(desk)
    assert (schedule.next_at, schedule.created_by) == (NOON + MINUTE, "ann")
    for seconds, count in ((59, 0), (60, 1), (61, 1), (119, 1), (120, 2)):
        desk.now = NOON + timedelta(seconds=seconds)
        await desk.firing.fire_due()
        assert len(await fires(desk, schedule)) == count
    found = await fires(desk, schedule)
    assert [fire.due_at for fire in found] == [NOON + MINUTE, NOON + 2 * MINUTE]
    messages = [json.loads(sent) for sent in await desk.sent()]
    assert [message["message_id"] for message in messages] == [str(fire.fire_id) for fire in found]
    assert {(message["queue_name"], message["actor_name"]) for message in messages} == {("brittle", "brittle")}
    assert messages[0]["kwargs"] == {"number": 1}


@pytest.mark.parametrize(
    ("policy", "limit", "count"),
    [(MissedRuns.FIRE_ONCE, 0, 1), (MissedRuns.SKIP, 0, 1), (MissedRuns.FIRE_ALL, 0, 90), (MissedRuns.FIRE_ALL, 7, 7)],
)
async def test_times_that_were_missed(desk: Desk, policy: MissedRuns, limit: int, count: int) -> None:
    schedule = await make(desk, missed_runs=policy, catch_up_limit=limit)
    desk.now = NOON + 90 * MINUTE
    await desk.firing.fire_due()
    found = await fires(desk, schedule)
    assert len(found) == count
    assert found[-1].due_at == NOON + 90 * MINUTE
    assert (await desk.schedules.get(schedule.schedule_id)).next_at == NOON + 91 * MINUTE


async def test_a_one_off_fires_once_whatever_is_done_to_it(desk: Desk) -> None:
    schedule = await make(desk, cron="", once_at=NOON + MINUTE)
    desk.now = NOON + 2 * MINUTE
    await desk.firing.fire_due()
    assert (await desk.schedules.get(schedule.schedule_id)).next_at is None
    await desk.schedules.update(replace(schedule, name="late"), "", ["name"], "ann")
    await desk.schedules.pause(schedule.schedule_id, "ann")
    await desk.schedules.resume(schedule.schedule_id, "ann")
    await desk.firing.fire_due()
    assert len(await fires(desk, schedule)) == 1
    assert len(await desk.sent()) == 1


async def test_four_schedulers_at_once_fire_each_time_once(desk: Desk, desk_url: str) -> None:
    schedules = [await make(desk, missed_runs=MissedRuns.FIRE_ALL, catch_up_limit=10) for _ in range(50)]
    desk.now = NOON + 10 * MINUTE
    others = [Desk(Database(desk_url), now=desk.now) for _ in range(3)]
    try:
        await asyncio.gather(*[one.firing.fire_due() for one in [desk, *others] for _ in range(10)])
    finally:
        for other in others:
            await other.database.close()
    for schedule in schedules:
        due = [fire.due_at for fire in await fires(desk, schedule)]
        assert due == [NOON + number * MINUTE for number in range(1, 11)]
    assert len(await desk.sent()) == 500


async def test_a_resting_schedule_does_not_fire_and_goes_on_from_now(desk: Desk) -> None:
    schedule = await make(desk, missed_runs=MissedRuns.FIRE_ALL)
    paused = await desk.schedules.pause(schedule.schedule_id, "ann")
    assert (paused.paused, paused.next_at) == (True, None)
    assert await desk.schedules.pause(schedule.schedule_id, "ann") == replace(paused, updated_at=desk.now)
    desk.now = NOON + 10 * MINUTE
    await desk.firing.fire_due()
    resumed = await desk.schedules.resume(schedule.schedule_id, "ann")
    assert (resumed.paused, resumed.next_at) == (False, NOON + 11 * MINUTE)
    await desk.firing.fire_due()
    assert await fires(desk, schedule) == []


async def test_a_clock_that_jumps_back_doubles_nothing(desk: Desk) -> None:
    schedule = await make(desk)
    desk.now = NOON + 5 * MINUTE
    await desk.firing.fire_due()
    desk.now = NOON + 2 * MINUTE
    await desk.schedules.update(replace(schedule, name="x"), "", ["name"], "ann")
    for minute in range(2, 8):
        desk.now = NOON + minute * MINUTE
        await desk.firing.fire_due()
    due = [fire.due_at for fire in await fires(desk, schedule)]
    assert len(due) == len(set(due))
    assert NOON + 5 * MINUTE in due


async def test_an_update_reckons_anew(desk: Desk) -> None:
    schedule = await make(desk)
    daily = replace(wanted(cron="0 9 * * *", time_zone="Asia/Ho_Chi_Minh"), schedule_id=schedule.schedule_id)
    changed = await desk.schedules.update(daily, '"1"', ["cron", "time_zone"], "bob")
    assert (changed.next_at, changed.version) == (datetime(2026, 3, 3, 2, tzinfo=UTC), 2)
    with pytest.raises(EtagMismatch):
        await desk.schedules.update(daily, '"1"', ["cron"], "bob")
    once = replace(daily, cron="", once_at=NOON + MINUTE)
    assert (await desk.schedules.update(once, "", ["cron", "once_time"], "bob")).next_at == NOON + MINUTE
    refusals: list[tuple[Schedule, list[str], type[ServiceError]]] = [
        (replace(daily, cron="nonsense"), ["cron"], ScheduleInvalid),
        (replace(daily, queue="secret"), ["target.queue"], TargetNotAllowed),
        (replace(daily, schedule_id=new_id()), ["cron"], ScheduleNotFound),
    ]
    for bad, paths, failure in refusals:
        with pytest.raises(failure):
            await desk.schedules.update(bad, "", paths, "bob")


async def test_a_schedule_can_be_run_by_hand(desk: Desk) -> None:
    schedule = await make(desk)
    request_id = new_id()
    found = await asyncio.gather(*[desk.schedules.run(schedule.schedule_id, "ann", request_id) for _ in range(10)])
    assert len({fire.fire_id for fire in found}) == 1
    assert found[0].manual
    assert len(await desk.sent()) == 1
    other = await make(desk)
    with pytest.raises(RequestIdReused):
        await desk.schedules.run(other.schedule_id, "ann", request_id)
    with pytest.raises(ScheduleNotFound):
        await desk.schedules.run(new_id(), "ann", None)


async def test_a_repeated_request_makes_one_schedule(desk: Desk) -> None:
    request_id = new_id()
    desk.now = NOON
    found = await asyncio.gather(*[desk.schedules.create(wanted(), "ann", request_id) for _ in range(10)])
    assert len({schedule.schedule_id for schedule in found}) == 1
    with pytest.raises(RequestIdReused):
        await desk.schedules.create(wanted(cron="0 0 * * *"), "ann", request_id)


async def test_a_deleted_schedule_is_gone_with_its_fires(desk: Desk) -> None:
    schedule = await make(desk)
    await desk.schedules.run(schedule.schedule_id, "ann", None)
    await desk.schedules.delete(schedule.schedule_id, "bob")
    for gone in (
        desk.schedules.get(schedule.schedule_id),
        desk.schedules.fires(schedule.schedule_id, 0, ""),
        desk.schedules.delete(schedule.schedule_id, "bob"),
    ):
        with pytest.raises(ScheduleNotFound):
            await gone
    actions, _ = await desk.operations.actions(schedule.schedule_id, 0, "")
    assert [(action.verb, action.actor_id) for action in actions] == [
        ("delete", "bob"),
        ("run", "ann"),
        ("create", "ann"),
    ]


async def test_old_fires_are_forgotten(desk: Desk) -> None:
    schedule = await make(desk)
    for days in (0, 60):
        desk.now = NOON + timedelta(days=days) + MINUTE
        await desk.firing.fire_due()
    for days, left in ((60, 2), (100, 1)):
        async with desk.transactions.begin() as tx:
            await tx.schedules.forget_fires(NOON + timedelta(days=days) - desk.firing.fires_kept)
        assert len(await fires(desk, schedule)) == left


async def test_pages_of_schedules_and_fires(desk: Desk) -> None:
    made = [await make(desk, missed_runs=MissedRuns.FIRE_ALL) for _ in range(5)]
    first, token = await desk.schedules.page(3, "")
    rest, end = await desk.schedules.page(3, token)
    assert [one.schedule_id for one in [*first, *rest]] == [one.schedule_id for one in made][::-1]
    assert end == ""
    desk.now = NOON + 5 * MINUTE
    await desk.firing.fire_due()
    page, token = await desk.schedules.fires(made[0].schedule_id, 3, "")
    more, end = await desk.schedules.fires(made[0].schedule_id, 3, token)
    assert [fire.due_at for fire in [*page, *more]] == [NOON + number * MINUTE for number in range(5, 0, -1)]
    assert end == ""
