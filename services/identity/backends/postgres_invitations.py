"""Invitations in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, insert, select, update

from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.tables import INVITATIONS
from services.identity.rules.organizations import Invitation, MemberRole

_INVITATIONS = INVITATIONS.c


@dataclass(frozen=True, slots=True)
class PostgresInvitations:
    """Implements the port Invitations."""

    work: PostgresWork

    async def add(self, invitation: Invitation) -> None:
        """See the port."""
        statement = insert(INVITATIONS).values(
            id=invitation.invitation_id,
            organization_id=invitation.organization_id,
            email=invitation.email,
            role=invitation.role.name.lower(),
            created_at=invitation.created_at,
            expires_at=invitation.expires_at,
        )
        async with self.work.connection() as connection:
            await connection.execute(statement)

    async def get(self, invitation_id: UUID, now: datetime) -> Invitation | None:
        """See the port."""
        statement = select(INVITATIONS).where(_INVITATIONS.id == invitation_id, _open(now))
        async with self.work.connection() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _invitation(row)

    async def by_token(self, token_hash: bytes, now: datetime) -> Invitation | None:
        """See the port."""
        statement = select(INVITATIONS).where(_INVITATIONS.token_hash == token_hash, _open(now))
        async with self.work.connection() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _invitation(row)

    async def page(self, organization_id: UUID, after: UUID | None, size: int, now: datetime) -> list[Invitation]:
        """See the port."""
        statement = select(INVITATIONS).where(_INVITATIONS.organization_id == organization_id, _open(now))
        if after is not None:
            statement = statement.where(_INVITATIONS.id > after)
        async with self.work.reading() as connection:
            rows = await connection.execute(statement.order_by(_INVITATIONS.id).limit(size))
            return [_invitation(row) for row in rows]

    async def set_token(self, invitation_id: UUID, token_hash: bytes) -> None:
        """See the port."""
        async with self.work.connection() as connection:
            await connection.execute(
                update(INVITATIONS).where(_INVITATIONS.id == invitation_id).values(token_hash=token_hash)
            )

    async def close(self, invitation_id: UUID, organization_id: UUID, at: datetime) -> bool:
        """See the port."""
        statement = (
            update(INVITATIONS)
            .where(_INVITATIONS.id == invitation_id, _INVITATIONS.organization_id == organization_id, _open(at))
            .values(closed_at=at)
        )
        async with self.work.connection() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def forget(self, organization_id: UUID) -> None:
        """See the port."""
        async with self.work.connection() as connection:
            await connection.execute(delete(INVITATIONS).where(_INVITATIONS.organization_id == organization_id))


def _open(now: datetime) -> ColumnElement[bool]:
    return and_(_INVITATIONS.closed_at.is_(None), _INVITATIONS.expires_at > now)


def _invitation(row: Row[Any]) -> Invitation:
    return Invitation(
        row.id, row.organization_id, row.email, MemberRole[row.role.upper()], row.created_at, row.expires_at
    )
