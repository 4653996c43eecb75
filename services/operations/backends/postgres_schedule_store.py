"""Schedules and their fires in PostgreSQL."""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.operations.backends.tables import FIRE, SCHEDULE, fire_of, schedule_of
from services.operations.rules import Fire, Schedule

_FORGET_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class PostgresScheduleStore:
    """Implements the port ScheduleStore on one connection."""

    connection: AsyncConnection

    async def add(self, schedule: Schedule, request_id: UUID | None) -> bool:
        """See the port."""
        statement = (
            postgres_insert(SCHEDULE)
            .values(id=schedule.schedule_id, request_id=request_id, **_stored(schedule))
            .on_conflict_do_nothing(index_elements=["request_id"])
        )
        return (await self.connection.execute(statement)).rowcount == 1

    async def by_request(self, request_id: UUID) -> Schedule | None:
        """See the port."""
        statement = select(SCHEDULE).where(SCHEDULE.c.request_id == request_id)
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else schedule_of(row)

    async def get(self, schedule_id: UUID, *, lock: bool = False) -> Schedule | None:
        """See the port."""
        statement = select(SCHEDULE).where(SCHEDULE.c.id == schedule_id)
        row = (await self.connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
        return None if row is None else schedule_of(row)

    async def page(self, before: UUID | None, size: int) -> list[Schedule]:
        """See the port."""
        statement = select(SCHEDULE)
        if before is not None:
            statement = statement.where(SCHEDULE.c.id < before)
        rows = await self.connection.execute(statement.order_by(SCHEDULE.c.id.desc()).limit(size))
        return [schedule_of(row) for row in rows]

    async def save(self, schedule: Schedule) -> None:
        """See the port."""
        await self.connection.execute(
            update(SCHEDULE).where(SCHEDULE.c.id == schedule.schedule_id).values(**_stored(schedule))
        )

    async def delete(self, schedule_id: UUID) -> None:
        """See the port."""
        await self.connection.execute(delete(SCHEDULE).where(SCHEDULE.c.id == schedule_id))

    async def due(self, now: datetime, size: int) -> list[Schedule]:
        """See the port."""
        statement = (
            select(SCHEDULE)
            .where(SCHEDULE.c.next_at <= now)
            .order_by(SCHEDULE.c.next_at)
            .limit(size)
            .with_for_update(skip_locked=True)
        )
        return [schedule_of(row) for row in await self.connection.execute(statement)]

    async def add_fire(self, fire: Fire, request_id: UUID | None = None) -> bool:
        """See the port."""
        statement = (
            postgres_insert(FIRE)
            .values(
                id=fire.fire_id,
                schedule_id=fire.schedule_id,
                manual=fire.manual,
                due_at=fire.due_at,
                fired_at=fire.fired_at,
                request_id=request_id,
            )
            .on_conflict_do_nothing(index_elements=["schedule_id", "due_at"])
        )
        return (await self.connection.execute(statement)).rowcount == 1

    async def fire_by_request(self, request_id: UUID) -> Fire | None:
        """See the port."""
        row = (await self.connection.execute(select(FIRE).where(FIRE.c.request_id == request_id))).one_or_none()
        return None if row is None else fire_of(row)

    async def fires(self, schedule_id: UUID, before: UUID | None, size: int) -> list[Fire]:
        """See the port."""
        statement = select(FIRE).where(FIRE.c.schedule_id == schedule_id)
        if before is not None:
            statement = statement.where(FIRE.c.id < before)
        return [fire_of(row) for row in await self.connection.execute(statement.order_by(FIRE.c.id.desc()).limit(size))]

    async def forget_fires(self, before: datetime) -> None:
        """See the port."""
        # In chunks: a long transaction would keep others from tidying up.
        old = select(FIRE.c.id).where(FIRE.c.fired_at < before).limit(_FORGET_AT_ONCE)
        await self.connection.execute(delete(FIRE).where(FIRE.c.id.in_(old)))


def _stored(schedule: Schedule) -> dict[str, object]:
    values = asdict(schedule)
    del values["schedule_id"]
    return values
