"""The times of cron expressions, above all where clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.operations.rules import MissedRuns, Schedule, firing, preview, times
from tests.services.operations.test_desk_rules import SCHEDULE

BERLIN = "Europe/Berlin"
# With changes of an hour, of half an hour, of a whole day (Apia, 2011), at midnight (Santiago), and without any.
ZONES = [
    "UTC",
    BERLIN,
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Santiago",
    "Asia/Ho_Chi_Minh",
]


def _wall(cron: str, zone: str, after: str, count: int) -> list[str]:
    start = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    return [f"{at.astimezone(ZoneInfo(zone)):%m-%d %H:%M %z}" for at in islice(times(cron, zone, start), count)]


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # Clocks go from 02:00 to 03:00 on 29 March: 02:30 is not there, and comes at 03:00.
        ("30 2 * * *", BERLIN, "2026-03-28T00:00", ["03-28 02:30 +0100", "03-29 03:00 +0200", "03-30 02:30 +0200"]),
        ("0,30 2 * * *", BERLIN, "2026-03-29T00:00", ["03-29 03:00 +0200", "03-30 02:00 +0200", "03-30 02:30 +0200"]),
        ("*/30 * * * *", BERLIN, "2026-03-29T01:00", ["03-29 01:30 +0100", "03-29 03:00 +0200", "03-29 03:30 +0200"]),
        # Clocks go from 03:00 back to 02:00 on 25 October: 02:30 comes twice, and counts once.
        ("30 2 * * *", BERLIN, "2026-10-24T03:00", ["10-25 02:30 +0200", "10-26 02:30 +0100"]),
        (
            "0 * * * *",
            BERLIN,
            "2026-10-25T01:00",
            ["10-25 02:00 +0200", "10-25 02:00 +0100", "10-25 03:00 +0100"],
        ),
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", ["09-06 01:00 -0300", "09-07 00:00 -0300"]),
        (
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T00:00",
            ["12-29 12:00 -1000", "12-31 00:00 +1400", "12-31 12:00 +1400"],
        ),
        ("0 9 29 2 *", "UTC", "2026-01-01T00:00", ["02-29 09:00 +0000"]),
        ("0 9 * * MON-FRI", "Asia/Ho_Chi_Minh", "2026-03-06T12:00", ["03-09 09:00 +0700", "03-10 09:00 +0700"]),
    ],
)
def test_clocks_that_change(cron: str, zone: str, after: str, expected: list[str]) -> None:
    assert _wall(cron, zone, after, len(expected)) == expected


moments = st.integers(2**30, 2**31).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
# Near the changes of clocks in Berlin, New York and Lord Howe.
changes = st.sampled_from(["2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-11-01T06:00Z", "2026-04-04T15:00Z"])
near_changes = st.builds(
    lambda at, minutes: datetime.fromisoformat(at) + timedelta(minutes=minutes), changes, st.integers(-1500, 1500)
)
after = moments | near_changes
minute = st.sampled_from(["*", "*/5", "*/30", "0", "30", "7,45"])
hour = st.sampled_from(["*", "*/2", "0", "1", "2", "2,3", "23"])
day = st.sampled_from(["*", "1", "29", "L"])
weekday = st.sampled_from(["*", "MON-FRI", "SUN"])
crons = st.builds(lambda *fields: f"{fields[0]} {fields[1]} {fields[2]} * {fields[3]}", minute, hour, day, weekday)


@given(crons, st.sampled_from(ZONES), after)
@settings(max_examples=100)
def test_times_rise_and_going_on_from_any_of_them_gives_the_rest(cron: str, zone: str, start: datetime) -> None:
    found = list(islice(times(cron, zone, start), 8))
    assert all(earlier < later for earlier, later in zip([start, *found], found, strict=False))
    for index, at in enumerate(found[:-1]):
        assert next(times(cron, zone, at)) == found[index + 1]
        assert next(times(cron, zone, found[index + 1] - timedelta(seconds=1))) == found[index + 1]


@given(st.sampled_from(["0 2 * * *", "30 2 * * *", "0 0 * * *", "59 23 * * *"]), st.sampled_from(ZONES), after)
@settings(max_examples=100)
def test_a_daily_time_comes_once_on_every_day_of_the_calendar(cron: str, zone: str, start: datetime) -> None:
    found = list(islice(times(cron, zone, start), 6))
    days = [at.astimezone(ZoneInfo(zone)).date() for at in found]
    assert len(set(days)) == len(days)
    if zone != "Pacific/Apia":  # which had no 30 December 2011
        assert days == [days[0] + timedelta(days=number) for number in range(6)]


@given(st.sampled_from(ZONES), after)
@settings(max_examples=60)
def test_what_runs_every_five_minutes_runs_through(zone: str, start: datetime) -> None:
    found = list(islice(times("*/5 * * * *", zone, start), 30))
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=5)}


@given(
    crons,
    st.sampled_from(ZONES),
    near_changes,
    st.lists(st.integers(1, 300), min_size=1, max_size=8),
    st.integers(1, 1000),
)
@settings(max_examples=60)
def test_whenever_schedulers_look_each_time_is_fired_for_once(
    cron: str, zone: str, start: datetime, looks: list[int], limit: int
) -> None:
    """The sum of all looks is what one look at the end would have found, as far as the limit allows."""
    schedule = Schedule(
        **{name: getattr(SCHEDULE, name) for name in ("schedule_id", "name", "queue", "actor", "payload")},
        created_by="",
        created_at=start,
        updated_at=start,
        cron=cron,
        time_zone=zone,
        missed_runs=MissedRuns.FIRE_ALL,
        catch_up_limit=limit,
        next_at=next(times(cron, zone, start)),
    )
    fired: list[datetime] = []
    now = start
    for minutes in looks:
        before, now = now, now + timedelta(minutes=minutes)
        decided = firing(schedule, now)
        between = [at for at in islice(times(cron, zone, before), 400) if at <= now]
        assert list(decided.due) == between[-limit:]
        fired += decided.due
        schedule = Schedule(
            **{**{name: getattr(schedule, name) for name in Schedule.__slots__}, "next_at": decided.next_at}
        )
    assert len(set(fired)) == len(fired)
    assert fired == sorted(fired)


@given(
    st.sampled_from(["* * * * *", "30 2 * * *", "0 9 29 2 *", "59 23 31 12 *", "0 */6 * * MON"]),
    st.sampled_from(ZONES),
    st.one_of(
        st.timedeltas(timedelta(), timedelta(days=9)).map(lambda since: datetime.min.replace(tzinfo=UTC) + since),
        st.timedeltas(timedelta(), timedelta(days=3650)).map(lambda before: datetime.max.replace(tzinfo=UTC) - before),
        st.datetimes(timezones=st.just(UTC)),
    ),
)
def test_every_time_of_the_calendar_has_its_next_times(cron: str, zone: str, after: datetime) -> None:
    found = preview(cron, zone, after, 3)
    assert all(earlier < later for earlier, later in pairwise([after, *found]))
    assert len(found) == 3 or after > datetime(9940, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("zone", ZONES)
def test_nothing_comes_after_the_last_minute_of_the_calendar(zone: str) -> None:
    assert preview("* * * * *", zone, datetime(9999, 12, 31, 23, 59, 30, tzinfo=UTC), 5) == []
