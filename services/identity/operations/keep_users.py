"""Reading and changing users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis.errors import Unauthenticated
from services.identity.errors import UserNotFound
from services.identity.ports import Clock, Transaction, Transactions
from services.identity.rules import User, profile_changes


@dataclass(frozen=True, slots=True)
class KeepUsers:
    """Reads and changes users."""

    transactions: Transactions
    clock: Clock

    async def get(self, user_id: str) -> User:
        """Return any user. Raises UserNotFound."""
        async with self.transactions.begin() as transaction:
            user = await transaction.users.get(UUID(user_id))
        if user is None:
            raise UserNotFound(user_id=user_id)
        return user

    async def current(self, caller_id: str) -> User:
        """Return the caller. Raises Unauthenticated when the caller's user is gone."""
        async with self.transactions.begin() as transaction:
            return await _caller(transaction, caller_id)

    async def change(self, caller_id: str, values: Mapping[str, str], mask: Sequence[str]) -> User:
        """Change the caller's profile; `profile_changes` says what `values` and `mask` do.

        Raises:
            FieldNotUpdatable: the mask names a field that cannot be changed.
            Unauthenticated: the caller's user is gone.
        """
        async with self.transactions.begin() as transaction:
            user = await _caller(transaction, caller_id)
            changes = profile_changes(user, values, mask)
            if not changes:
                return user
            changed = await transaction.users.change_profile(user.user_id, changes, self.clock())
        if changed is None:
            raise Unauthenticated(cause="the user is gone")
        return changed


async def _caller(transaction: Transaction, caller_id: str) -> User:
    try:
        user = await transaction.users.get(UUID(caller_id))
    except ValueError:
        # A token of another issuer may name its users otherwise.
        user = None
    if user is None:
        raise Unauthenticated(cause="the user is gone")
    return user
