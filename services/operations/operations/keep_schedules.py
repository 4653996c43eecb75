"""Make, change, rest and delete schedules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.chassis.etags import check_etag
from services.chassis.identifiers import new_id
from services.chassis.pagination import PageTokens
from services.operations.errors import EtagMismatch, RequestIdReused, ScheduleNotFound
from services.operations.operations.fire_schedules import send
from services.operations.operations.record_actions import record
from services.operations.ports import Clock, Transactions
from services.operations.rules import Fire, Schedule, checked, preview, updated

_SUBJECT = "schedule"
_DEFAULT_PREVIEW = 5
Change = Callable[[Schedule], Schedule]


@dataclass(frozen=True, slots=True)
class KeepSchedules:
    """The operations on schedules. `targets` are the queues and actors that schedules may start."""

    transactions: Transactions
    page_tokens: PageTokens
    clock: Clock
    targets: frozenset[tuple[str, str]]

    async def create(self, wanted: Schedule, by: str, request_id: UUID | None) -> Schedule:
        """Make a schedule; the same `request_id` again returns the same one.

        Raises:
            ScheduleInvalid, TargetNotAllowed, PayloadInvalid: as they say.
            RequestIdReused: the request id came before with something else.
        """
        now = self.clock()
        made = replace(wanted, schedule_id=new_id(), created_by=by, created_at=now, updated_at=now)
        schedule = checked(made, self.targets, now)
        async with self.transactions.begin() as tx:
            if await tx.schedules.add(schedule, request_id):
                await record(tx, "create", _SUBJECT, schedule.schedule_id, by, now, _told(schedule))
                return schedule
            assert request_id is not None  # noqa: S101 - nothing else can clash
            found = await tx.schedules.by_request(request_id)
        if found is None or (found.version == 1 and _told(found) != _told(schedule)):
            raise RequestIdReused(request_id=request_id)
        return found

    async def page(self, size: int, token: str) -> tuple[Sequence[Schedule], str]:
        """Return a page of schedules, the last made first, and the token of the next one."""
        asked = self.page_tokens.asked("schedules", size, token)
        async with self.transactions.read() as tx:
            found = await tx.schedules.page(asked.last_id, asked.count)
        return asked.of(found, lambda one: one.schedule_id)

    async def get(self, schedule_id: UUID) -> Schedule:
        """Return one schedule. Raises ScheduleNotFound."""
        async with self.transactions.read() as tx:
            return _found(await tx.schedules.get(schedule_id), schedule_id)

    async def update(self, wanted: Schedule, etag: str, paths: Sequence[str], by: str) -> Schedule:
        """Change the fields that the mask names; the next time is reckoned from now.

        Raises:
            ScheduleNotFound, EtagMismatch, FieldNotUpdatable: as they say.
            ScheduleInvalid, TargetNotAllowed, PayloadInvalid: as they say.
        """

        def change(found: Schedule) -> Schedule:
            check_etag(found.version, etag, EtagMismatch)
            return checked(updated(found, wanted, paths), self.targets, self.clock())

        return await self._change(wanted.schedule_id, "update", by, change)

    async def pause(self, schedule_id: UUID, by: str) -> Schedule:
        """Let a schedule rest. Raises ScheduleNotFound."""
        return await self._change(schedule_id, "pause", by, lambda found: _paused(found, rests=True))

    async def resume(self, schedule_id: UUID, by: str) -> Schedule:
        """Let a schedule go on, from now. Raises ScheduleNotFound, and what `update` raises when it is not good now."""
        return await self._change(
            schedule_id,
            "resume",
            by,
            lambda found: checked(_paused(found, rests=False), self.targets, self.clock()) if found.paused else found,
        )

    async def delete(self, schedule_id: UUID, by: str) -> None:
        """Delete a schedule with its fires. Raises ScheduleNotFound."""
        async with self.transactions.begin() as tx:
            found = _found(await tx.schedules.get(schedule_id, lock=True), schedule_id)
            await tx.schedules.delete(schedule_id)
            await record(tx, "delete", _SUBJECT, schedule_id, by, self.clock(), _told(found))

    async def run(self, schedule_id: UUID, by: str, request_id: UUID | None) -> Fire:
        """Start the job of a schedule now; the same `request_id` again returns the same fire.

        Raises:
            ScheduleNotFound: there is none.
            RequestIdReused: the request id is that of another schedule's fire.
        """
        async with self.transactions.begin() as tx:
            schedule = _found(await tx.schedules.get(schedule_id, lock=True), schedule_id)
            before = await tx.schedules.fire_by_request(request_id) if request_id else None
            if before is not None:
                return _same(before, schedule_id, request_id)
            now = self.clock()
            fire = Fire(new_id(), schedule_id, manual=True, due_at=now, fired_at=now)
            await tx.schedules.add_fire(fire, request_id)
            await send(tx, schedule, fire)
            await record(tx, "run", _SUBJECT, schedule_id, by, now, {"fire_id": str(fire.fire_id)})
        self.transactions.jobs_committed()
        return fire

    async def fires(self, schedule_id: UUID, size: int, token: str) -> tuple[Sequence[Fire], str]:
        """Return a page of the fires of a schedule, the last first. Raises ScheduleNotFound."""
        asked = self.page_tokens.asked(f"fires/{schedule_id}", size, token)
        async with self.transactions.read() as tx:
            _found(await tx.schedules.get(schedule_id), schedule_id)
            found = await tx.schedules.fires(schedule_id, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.fire_id)

    def preview(self, cron: str, time_zone: str, after: datetime | None, count: int) -> list[datetime]:
        """Return when a schedule would fire next. Raises ScheduleInvalid."""
        return preview(cron, time_zone, after or self.clock(), count or _DEFAULT_PREVIEW)

    async def _change(self, schedule_id: UUID, verb: str, by: str, change: Change) -> Schedule:
        async with self.transactions.begin() as tx:
            found = _found(await tx.schedules.get(schedule_id, lock=True), schedule_id)
            now = self.clock()
            changed = replace(change(found), updated_at=now)
            await tx.schedules.save(changed)
            await record(tx, verb, _SUBJECT, schedule_id, by, now, _told(changed) if verb == "update" else {})
        return changed


def _paused(schedule: Schedule, *, rests: bool) -> Schedule:
    if schedule.paused == rests:
        return schedule
    return replace(schedule, paused=rests, next_at=None, version=schedule.version + 1)


def _told(schedule: Schedule) -> dict[str, object]:
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "once_at": schedule.once_at.isoformat() if schedule.once_at else "",
        "queue": schedule.queue,
        "actor": schedule.actor,
        "payload": schedule.payload,
        "missed_runs": schedule.missed_runs,
        "catch_up_limit": schedule.catch_up_limit,
    }


def _same(fire: Fire, schedule_id: UUID, request_id: UUID | None) -> Fire:
    if fire.schedule_id != schedule_id:
        raise RequestIdReused(request_id=request_id)
    return fire


def _found(schedule: Schedule | None, schedule_id: UUID) -> Schedule:
    if schedule is None:
        raise ScheduleNotFound(schedule_id=schedule_id)
    return schedule
