"""The roles of members, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.tables import MEMBER_ROLES
from services.identity.rules.organizations import MemberRole

_ROLES = MEMBER_ROLES.c


@dataclass(frozen=True, slots=True)
class PostgresMemberRoles:
    """Implements the port MemberRoles."""

    work: PostgresWork

    async def of(self, organization_id: UUID, user_ids: Sequence[UUID]) -> dict[UUID, MemberRole]:
        """See the port."""
        statement = select(MEMBER_ROLES).where(
            _ROLES.organization_id == organization_id, _ROLES.user_id.in_(list(user_ids))
        )
        async with self.work.connection() as connection:
            rows = (await connection.execute(statement)).all()
        return {row.user_id: MemberRole[row.role.upper()] for row in rows}

    async def owners(self, organization_id: UUID) -> set[UUID]:
        """See the port."""
        statement = select(_ROLES.user_id).where(
            _ROLES.organization_id == organization_id, _ROLES.role == MemberRole.OWNER.name.lower()
        )
        async with self.work.connection() as connection:
            return set((await connection.scalars(statement)).all())

    async def set(self, organization_id: UUID, user_id: UUID, role: MemberRole) -> None:
        """See the port."""
        statement = insert(MEMBER_ROLES).values(
            organization_id=organization_id, user_id=user_id, role=role.name.lower()
        )
        async with self.work.connection() as connection:
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["organization_id", "user_id"], set_={"role": statement.excluded.role}
                )
            )

    async def forget(self, organization_id: UUID, user_id: UUID | None = None) -> None:
        """See the port."""
        statement = delete(MEMBER_ROLES).where(_ROLES.organization_id == organization_id)
        if user_id is not None:
            statement = statement.where(_ROLES.user_id == user_id)
        async with self.work.connection() as connection:
            await connection.execute(statement)
