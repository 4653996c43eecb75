"""The users of the built-in directory: PostgreSQL and argon2id."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from services.chassis.identifiers import new_id
from services.identity.errors import UserNotFound
from services.identity.ports.directory import Page
from services.identity.ports.stores import PasswordHasher, Transactions
from services.identity.ports.work import Clock
from services.identity.rules.users import NewUser, User, UserQuery, composed, new_user


@dataclass(frozen=True, slots=True)
class BuiltinUsers:
    """Implements the port UserDirectory."""

    transactions: Transactions
    hasher: PasswordHasher
    clock: Clock

    async def create(self, new: NewUser) -> User:
        """See the port."""
        user = new_user(new_id(), new.email, new.username, new.display_name, self.clock(), new.roles)
        # Outside of the transaction: no connection waits for a hash.
        password_hash = await self.hasher.hash(composed(new.password))
        async with self.transactions.begin() as transaction:
            await transaction.users.add(user, password_hash)
        return user

    async def find(self, login: str) -> UUID | None:
        """See the port."""
        async with self.transactions.read() as transaction:
            return await transaction.users.find(login)

    async def get(self, user_id: UUID) -> User | None:
        """See the port."""
        async with self.transactions.read() as transaction:
            return await transaction.users.get(user_id)

    async def by_email(self, email: str) -> User | None:
        """See the port."""
        async with self.transactions.read() as transaction:
            found = await transaction.users.by_email(email)
        return None if found is None else found.user

    async def by_username(self, username: str) -> User | None:
        """See the port."""
        async with self.transactions.read() as transaction:
            found = await transaction.users.by_username(username)
        return None if found is None else found.user

    async def page(self, query: UserQuery, cursor: str, size: int) -> Page[User]:
        """See the port."""
        async with self.transactions.read() as transaction:
            found = await transaction.users.page(query, UUID(cursor) if cursor else None, size + 1)
        return Page(found[:size], str(found[size - 1].user_id) if len(found) > size else "")

    async def change_profile(self, user_id: UUID, changes: Mapping[str, str]) -> User | None:
        """See the port."""
        async with self.transactions.begin() as transaction:
            return await transaction.users.change(user_id, changes, self.clock())

    async def password_matches(self, user_id: UUID, password: str) -> bool:
        """See the port."""
        async with self.transactions.read() as transaction:
            found = await transaction.users.credentials(user_id)
        return await self.hasher.matches(composed(password), None if found is None else found.password_hash)

    async def set_password(self, user_id: UUID, password: str) -> None:
        """See the port."""
        password_hash = await self.hasher.hash(composed(password))
        async with self.transactions.begin() as transaction:
            if not await transaction.users.set_password_hash(user_id, password_hash, self.clock()):
                raise UserNotFound(user_id=user_id)

    async def verify_email(self, user_id: UUID) -> User | None:
        """See the port."""
        async with self.transactions.begin() as transaction:
            return await transaction.users.change(user_id, {"email_verified": True}, self.clock())

    async def replace_unverified(self, user_id: UUID, new: NewUser) -> User:
        """See the port."""
        made = new_user(new_id(), new.email, new.username, new.display_name, self.clock(), new.roles)
        user = replace(made, email_verified=True)
        password_hash = await self.hasher.hash(composed(new.password))
        async with self.transactions.begin() as transaction:
            if not await transaction.users.release(user_id, self.clock()):
                raise UserNotFound(user_id=user_id)
            await transaction.users.add(user, password_hash)
        return user

    async def set_active(self, user_id: UUID, *, is_active: bool) -> User | None:
        """See the port."""
        async with self.transactions.begin() as transaction:
            return await transaction.users.change(user_id, {"is_active": is_active}, self.clock())

    async def grant_role(self, user_id: UUID, role: str) -> User | None:
        """See the port."""
        async with self.transactions.begin() as transaction:
            return await transaction.users.grant_role(user_id, role, self.clock())

    async def revoke_role(self, user_id: UUID, role: str) -> User | None:
        """See the port."""
        async with self.transactions.begin() as transaction:
            return await transaction.users.revoke_role(user_id, role, self.clock())
