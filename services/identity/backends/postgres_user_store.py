"""Users in PostgreSQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, all_, any_, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.backends.tables import USERS, user_of
from services.identity.errors import EmailTaken, UsernameTaken
from services.identity.rules.identifiers import canonical_login, username_skeleton
from services.identity.rules.users import Credentials, User, UserQuery


@dataclass(frozen=True, slots=True)
class PostgresUserStore:
    """Implements the port UserStore on one connection."""

    connection: AsyncConnection

    async def add(self, user: User, password_hash: str) -> None:
        """See the port."""
        statement = insert(USERS).values(
            id=user.user_id,
            email=user.email,
            username=user.username,
            password_hash=password_hash,
            display_name=user.display_name,
            avatar_url=user.avatar_url,
            native_language=user.native_language,
            target_language=user.target_language,
            level=user.level,
            roles=sorted(user.roles),
            is_active=user.is_active,
            organization_id=user.organization_id,
            email_verified=user.email_verified,
            email_canonical=canonical_login(user.email),
            username_canonical=canonical_login(user.username),
            username_skeleton=username_skeleton(user.username),
            created_at=user.created_at,
            updated_at=user.updated_at,
        )
        try:
            await self.connection.execute(statement)
        except IntegrityError as error:
            # The unique index decides, not a look beforehand: two people may register at the same moment.
            index = getattr(error.orig.__cause__, "constraint_name", "") if error.orig else ""
            if index == "users_email_canonical":
                raise EmailTaken(email=user.email) from error
            if index in ("users_username_canonical", "users_username_skeleton"):
                raise UsernameTaken(username=user.username) from error
            raise

    async def release(self, user_id: UUID, at: datetime) -> bool:
        """See the port."""
        freed = {"email": "", "email_canonical": None, "username_canonical": None, "username_skeleton": None}
        statement = (
            update(USERS)
            .where(USERS.c.id == user_id, USERS.c.is_active, ~USERS.c.email_verified)
            .values(**freed, is_active=False, updated_at=at)
        )
        return (await self.connection.execute(statement)).rowcount == 1

    async def find(self, login: str) -> UUID | None:
        """See the port."""
        form = canonical_login(login)
        column = USERS.c.email_canonical if "@" in form else USERS.c.username_canonical
        found: UUID | None = await self.connection.scalar(select(USERS.c.id).where(column == form))
        return found

    async def get(self, user_id: UUID) -> User | None:
        """See the port."""
        row = (await self.connection.execute(select(USERS).where(USERS.c.id == user_id))).one_or_none()
        return None if row is None else user_of(row)

    async def by_email(self, email: str) -> Credentials | None:
        """See the port."""
        return await self._credentials(USERS.c.email_canonical == canonical_login(email))

    async def by_username(self, username: str) -> Credentials | None:
        """See the port."""
        return await self._credentials(USERS.c.username_canonical == canonical_login(username))

    async def _credentials(self, condition: ColumnElement[bool]) -> Credentials | None:
        row = (await self.connection.execute(select(USERS).where(condition))).one_or_none()
        return None if row is None else Credentials(user_of(row), row.password_hash)

    async def credentials(self, user_id: UUID) -> Credentials | None:
        """See the port."""
        return await self._credentials(USERS.c.id == user_id)

    async def page(self, query: UserQuery, after: UUID | None, size: int) -> list[User]:
        """See the port."""
        statement = select(USERS).order_by(USERS.c.id).limit(size)
        if query.text:
            columns = (USERS.c.email, USERS.c.username, USERS.c.display_name)
            wanted = query.text.lower()
            statement = statement.where(or_(*(func.lower(one).contains(wanted, autoescape=True) for one in columns)))
        if query.role:
            statement = statement.where(literal(query.role) == any_(USERS.c.roles))
        if query.is_active is not None:
            statement = statement.where(USERS.c.is_active == query.is_active)
        if after is not None:
            statement = statement.where(USERS.c.id > after)
        return [user_of(row) for row in await self.connection.execute(statement)]

    async def change(self, user_id: UUID, changes: Mapping[str, object], at: datetime) -> User | None:
        """See the port."""
        statement = update(USERS).where(USERS.c.id == user_id).values(**changes, updated_at=at).returning(USERS)
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else user_of(row)

    async def grant_role(self, user_id: UUID, role: str, at: datetime) -> User | None:
        """See the port."""
        await self.connection.execute(
            update(USERS)
            .where(USERS.c.id == user_id, literal(role) != all_(USERS.c.roles))
            .values(roles=func.array_append(USERS.c.roles, role), updated_at=at)
        )
        return await self.get(user_id)

    async def revoke_role(self, user_id: UUID, role: str, at: datetime) -> User | None:
        """See the port."""
        await self.connection.execute(
            update(USERS)
            .where(USERS.c.id == user_id, literal(role) == any_(USERS.c.roles))
            .values(roles=func.array_remove(USERS.c.roles, role), updated_at=at)
        )
        return await self.get(user_id)

    async def set_password_hash(self, user_id: UUID, password_hash: str, at: datetime) -> bool:
        """See the port."""
        statement = update(USERS).where(USERS.c.id == user_id).values(password_hash=password_hash, updated_at=at)
        return (await self.connection.execute(statement)).rowcount == 1

    async def hold_password_hash(self, user_id: UUID, password_hash: str) -> bool:
        """See the port."""
        mine = (USERS.c.id == user_id, USERS.c.password_hash == password_hash, USERS.c.is_active)
        held = select(USERS.c.id).where(*mine).with_for_update(read=True)
        return await self.connection.scalar(held) is not None

    async def replace_password_hash(self, user_id: UUID, old: str, new: str) -> bool:
        """See the port."""
        statement = update(USERS).where(USERS.c.id == user_id, USERS.c.password_hash == old).values(password_hash=new)
        return (await self.connection.execute(statement)).rowcount == 1
