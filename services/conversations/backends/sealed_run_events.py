"""The events of runs, sealed on their way to the store when the conversation is private."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.chassis.data_keys import Seal
from services.chassis.database import Database
from services.chassis.heartbeat import LeaseLost
from services.conversations.backends.seals import Seals
from services.conversations.backends.tables import about_message
from services.conversations.ports import CannotStore, RunEvents
from services.conversations.rules import RunEvent


@dataclass(frozen=True, slots=True)
class SealedRunEvents:
    """Implements the port RunEvents around a store of events."""

    events: RunEvents
    database: Database
    seals: Seals

    async def append(self, run_id: UUID, fence: int, events: Sequence[RunEvent], after: int) -> int:
        """See the port."""
        try:
            sealed = [await self._sealed(run_id, event) for event in events]
        except LookupError:
            # The conversation was deleted: nobody may write into it any more.
            raise LeaseLost from None
        return await self.events.append(run_id, fence, sealed, after)

    async def end(self, run_id: UUID, event: RunEvent, after: int = 0) -> int:
        """See the port."""
        try:
            sealed = await self._sealed(run_id, event)
        except LookupError:
            sealed = replace(event, text="", message=None)
        return await self.events.end(run_id, sealed, after)

    async def follow(self, run_id: UUID, after: int) -> AsyncIterator[RunEvent | None]:
        """See the port."""
        async for event in self.events.follow(run_id, after):
            try:
                yield event if event is None else await self._opened(run_id, event)
            except LookupError:
                return

    async def request_cancel(self, run_id: UUID) -> None:
        """See the port."""
        await self.events.request_cancel(run_id)

    async def wait_for_cancel(self, run_id: UUID) -> None:
        """See the port."""
        await self.events.wait_for_cancel(run_id)

    async def _sealed(self, run_id: UUID, event: RunEvent) -> RunEvent:
        seal = await self._seal(run_id, event)
        try:
            return event if seal is None else _with_texts(event, run_id, seal.seal)
        except UnicodeEncodeError as error:
            raise CannotStore from error

    async def _opened(self, run_id: UUID, event: RunEvent) -> RunEvent:
        seal = await self._seal(run_id, event)
        return event if seal is None else _with_texts(event, run_id, seal.open)

    async def _seal(self, run_id: UUID, event: RunEvent) -> Seal | None:
        if not event.text and event.message is None:
            return None  # says nothing
        is_known, seal = self.seals.known(run_id)
        if is_known:
            return seal
        async with self.database.autocommit() as connection:
            return await self.seals.of_run(connection, run_id)


def _with_texts(event: RunEvent, run_id: UUID, change: Callable[[str, str], str]) -> RunEvent:
    message = event.message
    if message is not None:
        message = replace(message, text=change(message.text, about_message(message.message_id)))
    return replace(event, text=change(event.text, f"run/{run_id}"), message=message)
