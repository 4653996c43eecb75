"""Ending all API keys of a user."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from services.chassis.pagination import MAX_PAGE_SIZE
from services.identity.ports.accounts import ApiKeys
from services.identity.ports.sessions import EndedSessions
from services.identity.ports.work import Clock, Work
from services.identity.rules.accounts import keys_of


@dataclass(frozen=True, slots=True)
class EndApiKeys:
    """Ends API keys. `ended_keys` tells every service; announcing raises SessionCheckUnavailable when it cannot."""

    work: Work
    keys: ApiKeys
    ended_keys: EndedSessions
    clock: Clock

    async def end_all(self, user_id: UUID) -> list[UUID]:
        """End all keys of a user, as a part of the work at hand, and return which; whoever calls announces them.

        A key that is being made at this moment is either ended too, or not made because its session has ended.
        """
        await self.work.alone(keys_of(user_id))
        return await self.keys.revoke_all(user_id, self.clock())

    async def announce(self, api_key_ids: Iterable[UUID]) -> None:
        """Have keys refused everywhere at once."""
        for api_key_id in api_key_ids:
            await self.ended_keys.announce(str(api_key_id))

    async def announce_all(self, user_id: UUID) -> None:
        """Have all keys of a user refused at once, which go on to exist: the user has been disabled."""
        before: UUID | None = None
        while found := await self.keys.page(user_id, before, MAX_PAGE_SIZE, self.clock()):
            await self.announce(key.api_key_id for key in found)
            before = found[-1].api_key_id
