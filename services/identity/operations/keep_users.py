"""Reading and changing users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis.errors import Unauthenticated
from services.identity.errors import UserNotFound
from services.identity.operations.callers import caller_id
from services.identity.operations.journal import Journal
from services.identity.ports.directory import UserDirectory
from services.identity.rules.users import User, profile_changes


@dataclass(frozen=True, slots=True)
class KeepUsers:
    """Reads and changes users."""

    users: UserDirectory
    journal: Journal

    async def get(self, user_id: str) -> User:
        """Return any user. Raises UserNotFound."""
        user = await self.users.get(UUID(user_id))
        if user is None:
            raise UserNotFound(user_id=user_id)
        return user

    async def current(self, user_id: str) -> User:
        """Return the caller. Raises Unauthenticated when the caller's user is gone."""
        user = await self.users.get(caller_id(user_id))
        if user is None:
            raise Unauthenticated(cause="the user is gone")
        return user

    async def change(self, user_id: str, values: Mapping[str, str], mask: Sequence[str]) -> User:
        """Change the caller's profile; `profile_changes` says what `values` and `mask` do.

        Raises:
            FieldNotUpdatable: the mask names a field that cannot be changed.
            Unauthenticated: the caller's user is gone.
        """
        user = await self.current(user_id)
        changes = profile_changes(user, values, mask)
        if not changes:
            return user
        async with self.journal.recording("profile.update", user_id, fields=" ".join(sorted(changes))):
            changed = await self.users.change_profile(user.user_id, changes)
            if changed is None:
                raise Unauthenticated(cause="the user is gone")
        return changed
