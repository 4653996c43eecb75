"""Answer what waits in a conversation: the work of a nudge."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from uuid import UUID

from services.chassis import logs
from services.chassis.batches import in_batches
from services.chassis.heartbeat import LeaseLost, renewed
from services.chassis.identifiers import new_id
from services.chassis.storable_text import is_blank
from services.conversations.operations import meters
from services.conversations.operations.converse import Converse
from services.conversations.operations.withdraw_calls import WithdrawCalls
from services.conversations.ports import CannotStore, Claim, ModelFailed, RunEvents, Summary, TakenBack, Transactions
from services.conversations.rules import (
    MAX_ATTEMPTS,
    Message,
    Metadata,
    Outcome,
    Run,
    RunEvent,
    RunState,
    ToolCall,
    last_event,
    most_tries,
)
from services.conversations.rules.outcomes import failed, nothing_said

_log = logs.get(__name__)
_HEARTBEAT_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.5
_MOST_PAUSE_SECONDS = 5.0
_MOST_AHEAD = 256


@dataclass(slots=True)
class _Answer:
    """What has been said so far in a run, and why the model says no more if it failed."""

    text: list[str] = field(default_factory=list)
    metadata: Metadata = field(default_factory=Metadata)
    calls: dict[UUID, ToolCall] = field(default_factory=dict)
    begun: bool = False
    failure: ModelFailed | None = None


@dataclass(frozen=True, slots=True)
class AnswerMessages:
    """Answers the waiting runs of conversations, each conversation's in their order and by one worker at a time."""

    transactions: Transactions
    events: RunEvents
    voice: Converse
    history_size: int
    withdrawing: WithdrawCalls | None = None

    async def answer(self, conversation_id: UUID) -> None:
        """Answer what waits in the conversation. Does nothing when another worker is at it or nothing waits.

        May be called any number of times: each run ends with at most one answer.
        """
        async with self.transactions.autocommit() as tx:
            claim = await tx.runs.claim(conversation_id, self.history_size)
        if claim is None:
            return
        try:
            while claim is not None:
                async with renewed(partial(self._renew, claim), _HEARTBEAT_SECONDS):
                    claim = await self._answer_run(claim)
        except LeaseLost:
            _log.warning("lease lost, another worker goes on", conversation_id=str(conversation_id))
        except BaseException:
            # Stopping, or PostgreSQL is away: let the next worker begin at once instead of when the lease runs out.
            if claim is not None:
                with contextlib.suppress(Exception):
                    async with self.transactions.autocommit() as tx:
                        await tx.runs.release(conversation_id, claim.fence)
            raise

    async def _answer_run(self, claim: Claim) -> Claim | None:
        try:
            outcome = await self._outcome(claim)
            run, message, following = await self._finished(claim, outcome)
        except CannotStore:
            _log.exception("an answer cannot be stored", run_id=str(claim.run.run_id))
            outcome = failed("ANSWER_NOT_STORABLE", "what the model said cannot be stored")
            run, message, following = await self._finished(claim, outcome)
        # From here on the answer is stored; a reader finds its way even if the events below are never written.
        message = await self._withdrawn(claim, run, message)
        await self.events.end(run.run_id, last_event(run, message))
        meters.ended(run)
        _log.info(
            "run ended",
            run_id=str(run.run_id),
            state=run.state.value,
            attempt=run.attempt,
            reason=run.error_reason,
            output_tokens=outcome.metadata.output_tokens,
        )
        return following

    async def _finished(self, claim: Claim, outcome: Outcome) -> tuple[Run, Message | None, Claim | None]:
        async with self.transactions.autocommit() as tx:
            return await tx.runs.finish(claim, outcome, new_id(), self.history_size)

    async def _withdrawn(self, claim: Claim, run: Run, message: Message | None) -> Message | None:
        """Withdraw the open calls of a run that did not succeed, tell readers, and return its message as it is then."""
        if self.withdrawing is None or run.state is RunState.SUCCEEDED:
            return message
        calls = await self.withdrawing.now(run.run_id)
        # A reader may have ended the stream meanwhile.
        with contextlib.suppress(LeaseLost):
            if calls:
                told = [RunEvent("tool", call=call) for call in calls]
                await self.events.append(run.run_id, claim.fence, told, 0)
        if not calls or message is None:
            return message
        async with self.transactions.autocommit() as tx:
            return await tx.conversations.message(message.message_id)

    async def _outcome(self, claim: Claim) -> Outcome:
        run = claim.run
        if run.cancel_requested:
            return Outcome(RunState.CANCELLED)
        if run.attempt > MAX_ATTEMPTS:
            return failed("ATTEMPTS_EXHAUSTED", f"the run was taken up {MAX_ATTEMPTS} times and never ended")
        answer = _Answer()
        asking = asyncio.create_task(self._ask(claim, answer))
        cancelling = asyncio.create_task(self.events.wait_for_cancel(run.run_id))
        try:
            await asyncio.wait({asking, cancelling}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
            # A provider that is stopped tells no usage. Most send a token at a time: the pieces count them.
            usage = replace(
                answer.metadata,
                output_tokens=len(answer.text),
                finish_reason="cancelled",
                tool_calls=len(answer.calls),
            )
            text = "".join(answer.text)
            return Outcome(RunState.CANCELLED, "" if is_blank(text) else text, usage)
        finally:
            for task in (asking, cancelling):
                task.cancel()
            await asyncio.gather(asking, cancelling, return_exceptions=True)

    async def _ask(self, claim: Claim, answer: _Answer) -> Outcome:
        """Write the events of a run as they come, and return the outcome."""
        attempt = claim.run.attempt
        begun = RunEvent("started") if attempt == 1 else RunEvent("restarted", attempt=attempt)
        # Before the model is asked: an answer that no reader can be told is not paid for.
        last = await self.events.append(claim.run.run_id, claim.fence, [begun], 0)
        async with aclosing(in_batches(self._told(claim, answer), _MOST_AHEAD)) as batches:
            async for events in batches:
                last = await self.events.append(claim.run.run_id, claim.fence, events, last)
        if answer.failure is not None:
            return failed(answer.failure.reason, answer.failure.message)
        text = "".join(answer.text)
        if is_blank(text):
            return nothing_said(answer.metadata.finish_reason)
        return Outcome(RunState.SUCCEEDED, text, answer.metadata)

    async def _told(self, claim: Claim, answer: _Answer) -> AsyncGenerator[RunEvent, None]:
        """Ask the model, again when it breaks off, and yield what there is to tell readers."""
        pause = _FIRST_PAUSE_SECONDS
        for tried in count(1):
            try:
                async with aclosing(self._said(claim, answer)) as said:
                    async for event in said:
                        yield event
            except ModelFailed as failure:
                meters.model_failed()
                _log.warning(
                    "model failed", run_id=str(claim.run.run_id), reason=failure.reason, retryable=failure.retryable
                )
                if not failure.retryable or tried >= most_tries(failure.reason):
                    answer.failure = failure
                    return
                if answer.text:
                    answer.text.clear()
                    yield RunEvent("restarted", attempt=claim.run.attempt)
                await asyncio.sleep(pause)
                pause = min(pause * 4, _MOST_PAUSE_SECONDS)
            else:
                return

    async def _said(self, claim: Claim, answer: _Answer) -> AsyncGenerator[RunEvent, None]:
        async with aclosing(self.voice.speak(claim)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Summary):
                    answer.metadata = piece.metadata
                elif isinstance(piece, TakenBack):
                    answer.text.clear()
                    yield RunEvent("restarted", attempt=claim.run.attempt)
                elif isinstance(piece, ToolCall):
                    before = answer.calls.get(piece.call_id)
                    answer.calls[piece.call_id] = piece
                    if before is None or before.state is not piece.state:
                        yield RunEvent("tool", call=piece)
                else:
                    if not answer.begun:
                        answer.begun = True
                        meters.first_text(claim.run)
                    answer.text.append(piece)
                    yield RunEvent("delta", text=piece)

    async def _renew(self, claim: Claim) -> bool:
        async with self.transactions.autocommit() as tx:
            return await tx.runs.renew(claim.run.conversation_id, claim.fence)
