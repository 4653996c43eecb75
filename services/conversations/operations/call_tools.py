"""Have the calls of a round done, whoever began them, and store what came of them with the run."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from services.conversations.ports import Claim, ModelFailed, Tools, Transactions
from services.conversations.rules import CallState, Round, ToolCall

_LOOK_SECONDS = 20.0
_AGAIN_SECONDS = 1.0
_DONE = (CallState.SUCCEEDED, CallState.FAILED, CallState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class CallTools:
    """Waits `seconds` for a round, from when the model asked for it: a worker that takes it over goes on waiting."""

    transactions: Transactions
    tools: Tools
    seconds: float

    async def store(self, claim: Claim, one: Round) -> None:
        """Store a round with its run. Raises LeaseLost."""
        async with self.transactions.begin() as tx:
            await tx.runs.save_round(claim, one)

    async def done(self, claim: Claim, one: Round) -> AsyncIterator[ToolCall]:
        """Yield the calls of a stored round as they come to stand elsewhere, to the end; the results are stored then.

        Raises:
            ModelFailed: calls have not ended in time, or nobody can tell. What only waits for a person is no failure:
                the model is told that it waits.
            LeaseLost: another worker has the run.
        """
        deadline = one.asked_at + timedelta(seconds=self.seconds)
        known = {call.call_id: call for call in one.calls}
        told: dict[object, CallState] = {}
        async for standing in self._standings(claim, one, deadline):
            known |= {call.call_id: call for call in standing}
            for call in known.values():
                before = told.get(call.call_id)
                if before is CallState.WAITING_FOR_APPROVAL and call.state in _DONE:
                    # It was approved and done while nobody looked: readers hear of both.
                    yield replace(call, state=CallState.STARTED, result="")
                if before is not call.state:
                    told[call.call_id] = call.state
                    yield call
        stuck = [call.name for call in known.values() if call.state is CallState.STARTED]
        if stuck:
            why = f"calls of {', '.join(stuck)} did not end within {self.seconds:g} s"
            raise ModelFailed("TOOL_CALLS_UNFINISHED", why, retryable=False)
        if not one.has_ended:
            await self.store(claim, replace(one, calls=tuple(known.values())))

    async def _standings(self, claim: Claim, one: Round, deadline: datetime) -> AsyncIterator[Sequence[ToolCall]]:
        """Yield how calls stand, again and again, until all have ended or the time is over."""
        calls = [call for call in one.calls if not call.state.has_ended]
        if not calls:
            yield one.calls
        asked = False
        while calls:
            left = (deadline - datetime.now(UTC)).total_seconds()
            try:
                if asked or left <= 0:
                    # What is late is not begun any more: who keeps calls may have forgotten that it was.
                    found = await self.tools.wait(calls, max(0.0, min(left, _LOOK_SECONDS)))
                else:
                    found = await self.tools.request(claim, calls, one.depth)
                    asked = True
            except ModelFailed as failure:
                if not failure.retryable or left <= 0:
                    raise
                # Whoever does the calls is away for a moment. They are not done twice.
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            yield found
            standing = {call.call_id: call for call in found}
            calls = [call for call in (standing.get(one.call_id, one) for one in calls) if not call.state.has_ended]
            if left <= 0:
                return
