"""What holds for dead letters, schedules and operations. Times and ids come in as arguments."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from uuid import UUID
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from services.chassis.etags import check_etag
from services.chassis.strict_json import JsonRefused, read_json
from services.operations.errors import (
    DeadLetterClosed,
    EtagMismatch,
    FieldNotUpdatable,
    PayloadInvalid,
    ScheduleInvalid,
    TargetNotAllowed,
)

UTC_ZONE = "UTC"
MISSED_AFTER = timedelta(seconds=60)
_FIRST_TIME = datetime(1, 1, 3, tzinfo=UTC)
DEFAULT_CATCH_UP = 100
# Looks back over ever longer spans: a schedule that was down for years is not gone through tick by tick.
_SPANS = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=366), timedelta(days=366 * 5))


class LetterState(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """A message as the broker gave it up. `failure_key` tells one failure of a message from the next."""

    queue: str
    message_id: str
    failure_key: str
    actor: str
    payload: str
    arguments: tuple[object, ...]
    options: Mapping[str, object]
    error: str
    traceback: str
    trace_id: str
    organization_id: str
    attempts: int
    sent_at: datetime
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that failed for good, as it was when it failed last."""

    letter_id: UUID
    message: FailedMessage
    state: LetterState
    failures: int
    first_failed_at: datetime
    version: int
    closed_at: datetime | None = None
    closed_by: str = ""


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Chooses dead letters; what is empty chooses all."""

    queue: str = ""
    actor: str = ""
    state: LetterState | None = None
    failed_from: datetime | None = None
    failed_before: datetime | None = None
    text: str = ""
    organization_id: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """What goes to a queue: the name of an actor and its arguments."""

    queue: str
    actor: str
    payload: Mapping[str, object]
    message_id: str
    arguments: Sequence[object] = ()
    options: Mapping[str, object] = field(default_factory=dict)


# What the failed attempts left behind: without it the message begins anew.
_OF_ATTEMPTS = ("retries", "traceback", "requeue_timestamp", "eta", "redis_message_id")


def closed(letter: DeadLetter, state: LetterState, by: str, at: datetime) -> DeadLetter:
    """Return an open letter, replayed or discarded. Raises DeadLetterClosed."""
    _open(letter)
    return replace(letter, state=state, closed_by=by, closed_at=at, version=letter.version + 1)


def edited(letter: DeadLetter, payload: str, etag: str) -> DeadLetter:
    """Return an open letter with another payload. Raises DeadLetterClosed, EtagMismatch, PayloadInvalid."""
    _open(letter)
    check_etag(letter.version, etag, EtagMismatch)
    parsed_payload(payload)
    return replace(letter, message=replace(letter.message, payload=payload), version=letter.version + 1)


def came_back(letter: DeadLetter, message: FailedMessage) -> DeadLetter:
    """Return a letter whose message failed once more: it is open again."""
    return replace(
        letter,
        message=message,
        state=LetterState.OPEN,
        failures=letter.failures + 1,
        version=letter.version + 1,
        closed_at=None,
        closed_by="",
    )


def replay_of(letter: DeadLetter) -> Job:
    """Return what goes back to the queue: the same message, as if it had never been tried."""
    message = letter.message
    options = {name: value for name, value in message.options.items() if name not in _OF_ATTEMPTS}
    return Job(
        message.queue, message.actor, parsed_payload(message.payload), message.message_id, message.arguments, options
    )


def _open(letter: DeadLetter) -> None:
    if letter.state is not LetterState.OPEN:
        raise DeadLetterClosed(dead_letter_id=letter.letter_id, state=letter.state)


def parsed_payload(text: str) -> dict[str, object]:
    """Return the arguments in a payload, none when it is empty. Raises PayloadInvalid."""
    try:
        payload = read_json(text or "{}")
    except JsonRefused as refused:
        raise PayloadInvalid(cause=f"it {refused}") from None
    if not isinstance(payload, dict):
        raise PayloadInvalid(cause="it is no object")
    return payload


class MissedRuns(StrEnum):
    """What happens to times that were missed."""

    FIRE_ONCE = "fire_once"
    SKIP = "skip"
    FIRE_ALL = "fire_all"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job is to start: again and again by `cron`, or once."""

    schedule_id: UUID
    name: str
    queue: str
    actor: str
    payload: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    cron: str = ""
    time_zone: str = UTC_ZONE
    once_at: datetime | None = None
    missed_runs: MissedRuns = MissedRuns.FIRE_ONCE
    catch_up_limit: int = 0
    paused: bool = False
    next_at: datetime | None = None
    version: int = 1


UPDATABLE = {
    "name": ("name",),
    "cron": ("cron",),
    "time_zone": ("time_zone",),
    "once_time": ("once_at",),
    "target": ("queue", "actor", "payload"),
    "target.queue": ("queue",),
    "target.actor": ("actor",),
    "target.payload": ("payload",),
    "missed_run_policy": ("missed_runs",),
    "catch_up_limit": ("catch_up_limit",),
}
"""The fields that an update mask may name, and what they are here."""


def named(text: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def targets_of(text: str) -> frozenset[tuple[str, str]]:
    """Return the queues and actors in a list of QUEUE or QUEUE:ACTOR with commas."""
    pairs = (name.partition(":") for name in named(text))
    return frozenset((queue, actor or queue) for queue, _, actor in pairs)


def updated(schedule: Schedule, wanted: Schedule, paths: Sequence[str]) -> Schedule:
    """Return the schedule with the fields that the mask names. Raises FieldNotUpdatable."""
    for path in paths:
        if path not in UPDATABLE:
            raise FieldNotUpdatable(field=path)
    names = {name for path in paths for name in UPDATABLE[path]}
    return replace(schedule, **{name: getattr(wanted, name) for name in names}, version=schedule.version + 1)


def checked(schedule: Schedule, targets: frozenset[tuple[str, str]], now: datetime) -> Schedule:
    """Return the schedule with its next time. Raises ScheduleInvalid, TargetNotAllowed, PayloadInvalid."""
    if bool(schedule.cron) == bool(schedule.once_at):
        raise ScheduleInvalid(field="cron", cause="give either cron or once_time")
    if (schedule.queue, schedule.actor) not in targets:
        raise TargetNotAllowed(queue=schedule.queue, actor=schedule.actor)
    parsed_payload(schedule.payload)
    first = next_time(schedule, now)
    if first is None:
        raise ScheduleInvalid(field="cron", cause="it never comes within the next fifty years")
    return replace(schedule, next_at=None if schedule.paused else first)


def next_time(schedule: Schedule, after: datetime) -> datetime | None:
    """Return when a schedule fires next; a time in the past for a one-off that is late, None when it is over."""
    if schedule.once_at is not None:
        return schedule.once_at
    return next(times(schedule.cron, schedule.time_zone, after), None)


def times(cron: str, time_zone: str, after: datetime) -> Iterator[datetime]:
    """Yield the times of a cron expression after a time, in UTC and rising.

    Clocks that change: a time that a change skips comes right after it, and a time that comes twice comes once; what
    runs every hour or oftener runs through, as Debian's cron does it. Nothing comes after the year 9999, and nothing in
    the first days of the year 1, where a local time may lie outside of the calendar. Raises ScheduleInvalid.
    """
    expression, zone = _parsed(cron, time_zone)
    last = max(after.astimezone(UTC), _FIRST_TIME)
    # CronSim forgets which of two equal wall times it begins at, so it begins early.
    for at in _until_the_last_year(expression, zone, last - timedelta(hours=3)):
        if at > last:
            last = at
            yield at


def _until_the_last_year(expression: str, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    try:
        for wall_time in CronSim(expression, start.astimezone(zone)):
            yield wall_time.astimezone(UTC)
    except OverflowError:
        return


def _parsed(cron: str, time_zone: str) -> tuple[str, ZoneInfo]:
    try:
        zone = ZoneInfo(time_zone or UTC_ZONE)
    except (ValueError, OSError, LookupError):
        raise ScheduleInvalid(field="time_zone", cause=f"there is no time zone {time_zone}") from None
    if len(cron.split()) != 5:
        raise ScheduleInvalid(field="cron", cause="a cron expression has five fields")
    try:
        CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
    except (CronSimError, ValueError) as error:
        raise ScheduleInvalid(field="cron", cause=error) from None
    return cron, zone


@dataclass(frozen=True, slots=True)
class Firing:
    """What a look at a schedule decided: the times to fire for, and when to look again."""

    due: tuple[datetime, ...]
    next_at: datetime | None


def firing(schedule: Schedule, now: datetime) -> Firing:
    """Return what a schedule whose time has come does now."""
    if schedule.next_at is None or schedule.next_at > now:
        return Firing((), schedule.next_at)
    following = None if schedule.once_at else next_time(schedule, now)
    many = schedule.missed_runs is MissedRuns.FIRE_ALL
    due = _last_due(schedule, schedule.next_at, now, (schedule.catch_up_limit or DEFAULT_CATCH_UP) if many else 1)
    if schedule.missed_runs is MissedRuns.SKIP:
        due = [at for at in due if now - at <= MISSED_AFTER]
    return Firing(tuple(due), following)


def _last_due(schedule: Schedule, first: datetime, now: datetime, count: int) -> Sequence[datetime]:
    if schedule.once_at:
        return [first]
    for span in _SPANS:
        start = max(first, now - span)
        found = deque(_until(schedule, start, now), maxlen=count)
        if len(found) == count or start == first:
            return list(found)
    return list(found)


def _until(schedule: Schedule, start: datetime, now: datetime) -> Iterator[datetime]:
    for at in times(schedule.cron, schedule.time_zone, start - timedelta(seconds=1)):
        if at > now:
            return
        yield at


def preview(cron: str, time_zone: str, after: datetime, count: int) -> list[datetime]:
    """Return the next times of a cron expression. Raises ScheduleInvalid."""
    return list(islice(times(cron, time_zone, after), count))


@dataclass(frozen=True, slots=True)
class Fire:
    """One start of a schedule's job; its id is the message id of the job."""

    fire_id: UUID
    schedule_id: UUID
    manual: bool
    due_at: datetime
    fired_at: datetime


class OperationState(StrEnum):
    """How an operation stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that takes long: what was asked, and how far it is."""

    operation_id: UUID
    request: Mapping[str, object]
    state: OperationState
    total: int
    done: int
    cursor: UUID | None
    cancel_requested: bool
    created_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    expire_at: datetime | None = None
    error: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether it is over, in whatever way."""
        return self.state is not OperationState.RUNNING


def ended(operation: Operation, state: OperationState, at: datetime, kept: timedelta, error: str = "") -> Operation:
    """Return an operation that is over."""
    return replace(operation, state=state, ended_at=at, updated_at=at, expire_at=at + kept, error=error)


@dataclass(frozen=True, slots=True)
class Action:
    """Something that somebody did at the desk."""

    action_id: UUID
    verb: str
    subject_kind: str
    subject_id: UUID
    actor_id: str
    at: datetime
    details: Mapping[str, object]
