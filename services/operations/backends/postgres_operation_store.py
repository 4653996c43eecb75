"""Operations and the leases on them in PostgreSQL."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.operations.backends.tables import OPERATION, operation_of
from services.operations.ports import Lease
from services.operations.rules import Operation, OperationState

_COLUMNS = OPERATION.c


@dataclass(frozen=True, slots=True)
class PostgresOperationStore:
    """Implements the port OperationStore on one connection."""

    connection: AsyncConnection

    async def add(self, operation: Operation, request_id: UUID | None) -> bool:
        """See the port."""
        statement = (
            postgres_insert(OPERATION)
            .values(id=operation.operation_id, request_id=request_id, **_stored(operation))
            .on_conflict_do_nothing(index_elements=["request_id"])
        )
        return (await self.connection.execute(statement)).rowcount == 1

    async def by_request(self, request_id: UUID) -> Operation | None:
        """See the port."""
        row = (await self.connection.execute(select(OPERATION).where(_COLUMNS.request_id == request_id))).one_or_none()
        return None if row is None else operation_of(row)

    async def get(self, operation_id: UUID, *, lock: bool = False) -> Operation | None:
        """See the port."""
        statement = select(OPERATION).where(_COLUMNS.id == operation_id)
        row = (await self.connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
        return None if row is None else operation_of(row)

    async def page(self, before: UUID | None, size: int) -> list[Operation]:
        """See the port."""
        statement = select(OPERATION)
        if before is not None:
            statement = statement.where(_COLUMNS.id < before)
        rows = await self.connection.execute(statement.order_by(_COLUMNS.id.desc()).limit(size))
        return [operation_of(row) for row in rows]

    async def save(self, operation: Operation) -> None:
        """See the port."""
        await self.connection.execute(
            update(OPERATION).where(_COLUMNS.id == operation.operation_id).values(**_stored(operation))
        )

    async def delete(self, operation_id: UUID) -> None:
        """See the port."""
        await self.connection.execute(delete(OPERATION).where(_COLUMNS.id == operation_id))

    async def forget_expired(self, now: datetime) -> None:
        """See the port."""
        await self.connection.execute(delete(OPERATION).where(_COLUMNS.expire_at < now))

    async def lease(self, lasting: timedelta) -> Lease | None:
        """See the port."""
        free = (
            select(_COLUMNS.id)
            .where(
                _COLUMNS.state == OperationState.RUNNING,
                or_(_COLUMNS.lease_until.is_(None), _COLUMNS.lease_until < func.now()),
            )
            .order_by(_COLUMNS.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = (
            await self.connection.execute(
                update(OPERATION)
                .where(_COLUMNS.id == free.scalar_subquery())
                .values(fence=_COLUMNS.fence + 1, lease_until=func.now() + lasting)
                .returning(OPERATION)
            )
        ).one_or_none()
        return None if row is None else Lease(operation_of(row), row.fence)

    async def hold(self, lease: Lease, lasting: timedelta) -> Operation | None:
        """See the port."""
        row = (
            await self.connection.execute(
                update(OPERATION)
                .where(_COLUMNS.id == lease.operation.operation_id, _COLUMNS.fence == lease.fence)
                .values(lease_until=func.now() + lasting)
                .returning(OPERATION)
            )
        ).one_or_none()
        return None if row is None else operation_of(row)


def _stored(operation: Operation) -> dict[str, object]:
    values = asdict(operation)
    del values["operation_id"]
    return values
