"""What the desk decides about dead letters and schedules."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.chassis.errors import ServiceError
from services.operations.errors import (
    DeadLetterClosed,
    EtagMismatch,
    FieldNotUpdatable,
    PayloadInvalid,
    ScheduleInvalid,
    TargetNotAllowed,
)
from services.operations.rules import (
    DeadLetter,
    FailedMessage,
    Firing,
    LetterState,
    MissedRuns,
    Schedule,
    came_back,
    checked,
    closed,
    edited,
    firing,
    replay_of,
    targets_of,
    updated,
)

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
ID = UUID("0198b6d4-0000-7000-8000-000000000001")
TARGETS = targets_of("incoming, reports:send")

MESSAGE = FailedMessage(
    queue="incoming",
    message_id="m1",
    failure_key="1",
    actor="incoming",
    payload='{"n": 12345678901234567890}',
    arguments=(),
    options={"retries": 9, "traceback": "…", "requeue_timestamp": 5, "eta": 7, "traceparent": "00-a-b-01"},
    error="ValueError: no",
    traceback="…",
    trace_id="",
    organization_id="",
    attempts=9,
    sent_at=NOW,
    failed_at=NOW,
)
LETTER = DeadLetter(ID, MESSAGE, LetterState.OPEN, 1, NOW, 1)
SCHEDULE = Schedule(ID, "every minute", "incoming", "incoming", "{}", "ann", NOW, NOW, cron="* * * * *")


@pytest.mark.parametrize("state", [LetterState.REPLAYED, LetterState.DISCARDED])
@pytest.mark.parametrize(
    "change",
    [
        lambda letter: closed(letter, LetterState.REPLAYED, "bob", NOW),
        lambda letter: closed(letter, LetterState.DISCARDED, "bob", NOW),
        lambda letter: edited(letter, "{}", ""),
    ],
)
def test_what_is_closed_stays_so(state: LetterState, change: Callable[[DeadLetter], DeadLetter]) -> None:
    done = closed(LETTER, state, "ann", NOW)
    assert (done.state, done.closed_by, done.closed_at, done.version) == (state, "ann", NOW, 2)
    with pytest.raises(DeadLetterClosed) as raised:
        change(done)
    assert raised.value.fields["state"] == state


@pytest.mark.parametrize("state", [LetterState.REPLAYED, LetterState.DISCARDED])
def test_what_fails_anew_is_open_again(state: LetterState) -> None:
    again = came_back(closed(LETTER, state, "ann", NOW), replace(MESSAGE, failure_key="2", error="again"))
    assert (again.state, again.failures, again.closed_by, again.closed_at) == (LetterState.OPEN, 2, "", None)
    assert again.message.error == "again"
    assert closed(again, LetterState.REPLAYED, "bob", NOW).state is LetterState.REPLAYED


def test_a_replay_keeps_the_message_and_forgets_the_attempts() -> None:
    job = replay_of(LETTER)
    assert (job.queue, job.actor, job.message_id) == ("incoming", "incoming", "m1")
    assert job.payload == {"n": 12345678901234567890}
    assert job.options == {"traceparent": "00-a-b-01"}


@pytest.mark.parametrize(
    ("payload", "etag", "failure"),
    [
        ("[1]", "", PayloadInvalid),
        ("5", "", PayloadInvalid),
        ("{nope", "", PayloadInvalid),
        ('{"n": NaN}', "", PayloadInvalid),
        ("[" * 100_000, "", PayloadInvalid),
        ("{}", '"2"', EtagMismatch),
        ("{}", "1", EtagMismatch),
    ],
)
def test_a_bad_edit_is_refused(payload: str, etag: str, failure: type[ServiceError]) -> None:
    with pytest.raises(failure):
        edited(LETTER, payload, etag)


@pytest.mark.parametrize("etag", ["", '"1"'])
def test_a_good_edit_changes_the_payload_alone(etag: str) -> None:
    changed = edited(LETTER, '{"n": 2}', etag)
    assert changed == replace(LETTER, message=replace(MESSAGE, payload='{"n": 2}'), version=2)


@pytest.mark.parametrize(
    ("changes", "failure", "field"),
    [
        ({"cron": ""}, ScheduleInvalid, "cron"),
        ({"once_at": NOW}, ScheduleInvalid, "cron"),
        ({"cron": "* * * *"}, ScheduleInvalid, "cron"),
        ({"cron": "* * * * * *"}, ScheduleInvalid, "cron"),
        ({"cron": "61 * * * *"}, ScheduleInvalid, "cron"),
        ({"cron": "0 0 30 2 *"}, ScheduleInvalid, "cron"),
        ({"cron": "* * */20 * 1L"}, ScheduleInvalid, "cron"),
        ({"cron": "@daily"}, ScheduleInvalid, "cron"),
        ({"time_zone": "Mars/Olympus"}, ScheduleInvalid, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, ScheduleInvalid, "time_zone"),
        ({"time_zone": "Europe"}, ScheduleInvalid, "time_zone"),
        ({"actor": "other"}, TargetNotAllowed, "target"),
        ({"queue": "reports", "actor": "reports"}, TargetNotAllowed, "target"),
        ({"payload": "[]"}, PayloadInvalid, "payload"),
    ],
)
def test_a_bad_schedule_is_refused(changes: dict[str, object], failure: type[ServiceError], field: str) -> None:
    with pytest.raises(failure) as raised:
        checked(replace(SCHEDULE, **changes), TARGETS, NOW)  # type: ignore[arg-type]
    assert raised.value.violations[0][0] == field


def test_a_good_schedule_knows_its_next_time() -> None:
    assert checked(SCHEDULE, TARGETS, NOW).next_at == datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
    once = replace(SCHEDULE, cron="", once_at=NOW, queue="reports", actor="send")
    assert checked(once, TARGETS, NOW).next_at == NOW
    assert checked(replace(SCHEDULE, paused=True), TARGETS, NOW).next_at is None


def test_a_mask_changes_what_it_names() -> None:
    wanted = replace(SCHEDULE, name="new", cron="0 0 * * *", queue="reports", actor="send", catch_up_limit=3)
    changed = updated(SCHEDULE, wanted, ["name", "target.queue", "target.actor"])
    assert changed == replace(SCHEDULE, name="new", queue="reports", actor="send", version=2)
    for field in ("next_time", "target.colour", "id", "paused"):
        with pytest.raises(FieldNotUpdatable):
            updated(SCHEDULE, wanted, ["name", field])


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("policy", "limit", "late", "minutes"),
    [
        (MissedRuns.FIRE_ONCE, 0, timedelta(), [0]),
        (MissedRuns.FIRE_ONCE, 0, 5 * MINUTE, [5]),
        (MissedRuns.FIRE_ONCE, 0, timedelta(days=4000), [4000 * 24 * 60]),
        (MissedRuns.SKIP, 0, timedelta(), [0]),
        (MissedRuns.SKIP, 0, 5 * MINUTE, [5]),
        (MissedRuns.FIRE_ALL, 0, 5 * MINUTE, [0, 1, 2, 3, 4, 5]),
        (MissedRuns.FIRE_ALL, 3, 5 * MINUTE, [3, 4, 5]),
        (MissedRuns.FIRE_ALL, 2, timedelta(days=400), [400 * 24 * 60 - 1, 400 * 24 * 60]),
    ],
)
def test_missed_times_are_handled_as_asked(policy: MissedRuns, limit: int, late: timedelta, minutes: list[int]) -> None:
    first = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    now = first + late + timedelta(seconds=20)
    decided = firing(replace(SCHEDULE, next_at=first, missed_runs=policy, catch_up_limit=limit), now)
    assert list(decided.due) == [first + minute * MINUTE for minute in minutes]
    assert decided.next_at == first + late + MINUTE


@pytest.mark.parametrize(
    ("policy", "late", "fires"),
    [
        (MissedRuns.FIRE_ONCE, timedelta(days=3), True),
        (MissedRuns.FIRE_ALL, timedelta(days=3), True),
        (MissedRuns.SKIP, timedelta(seconds=59), True),
        (MissedRuns.SKIP, timedelta(seconds=61), False),
    ],
)
def test_a_one_off_fires_once_and_is_over(policy: MissedRuns, late: timedelta, fires: bool) -> None:
    once = replace(SCHEDULE, cron="", once_at=NOW, next_at=NOW, missed_runs=policy)
    decided = firing(once, NOW + late)
    assert decided.due == ((NOW,) if fires else ())
    assert decided.next_at is None


def test_a_daily_job_that_is_late_is_skipped() -> None:
    daily = replace(SCHEDULE, cron="0 9 * * *", next_at=NOW.replace(hour=9, minute=0, second=0))
    assert firing(replace(daily, missed_runs=MissedRuns.SKIP), NOW).due == ()
    assert firing(daily, NOW).due == (daily.next_at,)


def test_what_is_not_due_does_nothing() -> None:
    assert firing(replace(SCHEDULE, next_at=NOW + MINUTE), NOW).due == ()
    assert firing(replace(SCHEDULE, next_at=None), NOW).due == ()
    for policy in MissedRuns:
        once = replace(SCHEDULE, cron="", once_at=NOW + MINUTE, next_at=NOW + MINUTE, missed_runs=policy)
        assert firing(once, NOW) == Firing((), NOW + MINUTE), "a one-off that is still to come"
