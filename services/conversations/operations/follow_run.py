"""Read, follow and cancel runs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import UUID

from services.conversations.errors import RunNotFound
from services.conversations.ports import RunEvents, Transactions
from services.conversations.rules import Run, RunEvent, RunState, last_event

# How many seconds of silence make a reader ask PostgreSQL whether the run has ended without saying so.
_SILENT_TICKS = 3


@dataclass(frozen=True, slots=True)
class FollowRuns:
    """The operations on runs."""

    transactions: Transactions
    events: RunEvents

    async def get(self, owner_id: str, conversation_id: UUID, run_id: UUID) -> Run:
        """Return one run. Raises RunNotFound."""
        async with self.transactions.autocommit() as tx:
            run = await tx.runs.get(conversation_id, run_id, owner_id)
        if run is None:
            raise RunNotFound(run_id=run_id)
        return run

    async def follow(self, owner_id: str, conversation_id: UUID, run_id: UUID, after: int) -> AsyncIterator[RunEvent]:
        """Yield the events after number `after` as they come, and end with the run.

        PostgreSQL is the truth: when it knows that the run has ended and the event store does not (a worker was
        killed in between, or Valkey lost its memory), the last event is made up for.

        Raises:
            RunNotFound: the owner has no such run, or it was deleted meanwhile.
        """
        run = await self.get(owner_id, conversation_id, run_id)
        if run.state.has_ended:
            last = await self._see_to_end(run, after)
            if last.sequence <= after:
                return
            if last.sequence == after + 1:
                yield last
                return
        silent = 0
        async for next_event in self.events.follow(run_id, after):
            if next_event is not None:
                after, silent = next_event.sequence, 0
                yield next_event
                continue
            silent += 1
            if silent % _SILENT_TICKS == 0:
                run = await self.get(owner_id, conversation_id, run_id)
                # The last event, if it was missing, reaches this reader as any other.
                if run.state.has_ended and (await self._see_to_end(run, after)).sequence <= after:
                    return

    async def _see_to_end(self, run: Run, after: int) -> RunEvent:
        """See that an ended run has its last event, and return it with its number.

        A reader ahead of the last number has seen a stream that Valkey has since lost: for it the number is the next.
        """
        async with self.transactions.autocommit() as tx:
            output = await tx.conversations.message(run.output_message_id) if run.output_message_id else None
        event = last_event(run, output)
        number = await self.events.end(run.run_id, event, after)
        return replace(event, sequence=after + 1 if number < after else number)

    async def cancel(self, owner_id: str, conversation_id: UUID, run_id: UUID) -> Run:
        """Ask that a run be cancelled and return it; one that has ended stays as it is. Raises RunNotFound."""
        async with self.transactions.begin() as tx:
            run = await tx.runs.get(conversation_id, run_id, owner_id)
            if run is None:
                raise RunNotFound(run_id=run_id)
            await tx.runs.request_cancel(run_id)
            run = await tx.runs.get(conversation_id, run_id, owner_id) or run
        if run.state is RunState.RUNNING:
            await self.events.request_cancel(run_id)
        elif run.state is RunState.CANCELLED and run.output_message_id is None:
            await self.events.end(run_id, last_event(run, None))
        return run
