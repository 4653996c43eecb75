"""The organisations of the built-in directory, in PostgreSQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from services.chassis.identifiers import new_id
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.tables import ORGANIZATIONS, USERS, organization_of, user_of
from services.identity.errors import AlreadyMember, OrganizationNameTaken, OrganizationNotFound, UserNotFound
from services.identity.ports.directory import Page
from services.identity.ports.work import Clock
from services.identity.rules.organizations import Organization
from services.identity.rules.users import User


@dataclass(frozen=True, slots=True)
class BuiltinOrganizations:
    """Implements the port OrganizationDirectory."""

    work: PostgresWork
    clock: Clock

    async def create(self, name: str, description: str) -> Organization:
        """See the port."""
        made = Organization(new_id(), name, description, self.clock())
        statement = insert(ORGANIZATIONS).values(
            id=made.organization_id, name=name, description=description, created_at=made.created_at
        )
        try:
            async with self.work.connection() as connection:
                await connection.execute(statement)
        except IntegrityError as error:
            raise OrganizationNameTaken(name=name) from error
        return made

    async def get(self, organization_id: UUID) -> Organization | None:
        """See the port."""
        async with self.work.connection() as connection:
            found = await connection.execute(select(ORGANIZATIONS).where(ORGANIZATIONS.c.id == organization_id))
            row = found.one_or_none()
        return None if row is None else organization_of(row)

    async def page(self, text: str, cursor: str, size: int) -> Page[Organization]:
        """See the port."""
        statement = select(ORGANIZATIONS).order_by(ORGANIZATIONS.c.id).limit(size + 1)
        if text:
            statement = statement.where(func.lower(ORGANIZATIONS.c.name).contains(text.lower(), autoescape=True))
        if cursor:
            statement = statement.where(ORGANIZATIONS.c.id > UUID(cursor))
        async with self.work.reading() as connection:
            found = [organization_of(row) for row in await connection.execute(statement)]
        return Page(found[:size], str(found[size - 1].organization_id) if len(found) > size else "")

    async def change(self, organization_id: UUID, changes: Mapping[str, str]) -> Organization | None:
        """See the port."""
        mine = ORGANIZATIONS.c.id == organization_id
        try:
            async with self.work.connection() as connection:
                changed = await connection.execute(
                    update(ORGANIZATIONS).where(mine).values(**changes).returning(ORGANIZATIONS)
                )
                row = changed.one_or_none()
        except IntegrityError as error:
            raise OrganizationNameTaken(name=changes.get("name", "")) from error
        return None if row is None else organization_of(row)

    async def delete(self, organization_id: UUID) -> bool:
        """See the port. The foreign key of the users takes their membership."""
        async with self.work.connection() as connection:
            gone = await connection.execute(delete(ORGANIZATIONS).where(ORGANIZATIONS.c.id == organization_id))
        return gone.rowcount == 1

    async def add_member(self, organization_id: UUID, user_id: UUID) -> None:
        """See the port."""
        async with self.work.connection() as connection:
            known = select(ORGANIZATIONS.c.id).where(ORGANIZATIONS.c.id == organization_id).with_for_update(read=True)
            if await connection.scalar(known) is None:
                raise OrganizationNotFound(organization_id=organization_id)
            mine = USERS.c.id == user_id
            user = (await connection.execute(select(USERS).where(mine).with_for_update())).one_or_none()
            if user is None:
                raise UserNotFound(user_id=user_id)
            if user.organization_id not in (None, organization_id):
                raise AlreadyMember
            await connection.execute(
                update(USERS).where(mine).values(organization_id=organization_id, updated_at=self.clock())
            )

    async def remove_member(self, organization_id: UUID, user_id: UUID) -> bool:
        """See the port."""
        statement = (
            update(USERS)
            .where(USERS.c.id == user_id, USERS.c.organization_id == organization_id)
            .values(organization_id=None, updated_at=self.clock())
        )
        async with self.work.connection() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def members(self, organization_id: UUID, cursor: str, size: int) -> Page[User]:
        """See the port."""
        statement = select(USERS).where(USERS.c.organization_id == organization_id).order_by(USERS.c.id)
        if cursor:
            statement = statement.where(USERS.c.id > UUID(cursor))
        async with self.work.reading() as connection:
            found = [user_of(row) for row in await connection.execute(statement.limit(size + 1))]
        return Page(found[:size], str(found[size - 1].user_id) if len(found) > size else "")
