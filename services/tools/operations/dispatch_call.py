"""Do a call: the work of a nudge on the queue `function_call`."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.chassis import logs
from services.chassis.sandbox.running import SandboxBusy
from services.tools.errors import ArgumentsInvalid, EgressRefused
from services.tools.operations.meters import CALLS, TRIES, kind_of
from services.tools.operations.send_secrets import SendSecrets
from services.tools.ports import Caller, CallFailed, Claim, Endings, Schemas, Transactions
from services.tools.rules import CallState, Outcome, Source, Tool, after_a_crash, pause, read_arguments

_log = logs.get(__name__)
IDEMPOTENCY_KEY = "Idempotency-Key"
# Less than the margin of a lease: nobody else takes the call up meanwhile.
_CHECK_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class DispatchCalls:
    """Does calls, each by one worker at a time and never twice when that could do harm."""

    transactions: Transactions
    callers: Mapping[type[Source], Caller]
    secrets: SendSecrets
    endings: Endings
    schemas: Schemas

    async def dispatch(self, call_id: UUID) -> None:
        """Do a call that is requested. Does nothing when it is not (any more). May be called any number of times."""
        claim = await self.claim(call_id)
        if claim is not None:
            await self.do(claim)

    async def claim(self, call_id: UUID) -> Claim | None:
        """Take up a call that is requested; None when it is not (any more)."""
        async with self.transactions.begin() as tx:
            return await tx.calls.claim(call_id)

    async def do(self, claim: Claim) -> None:
        """Do a call that was taken up, and store its end."""
        begun, started = [False], time.perf_counter()
        try:
            outcome = await self._outcome(claim, begun)
        except asyncio.CancelledError:
            # This process stops. What was not begun, or may be repeated, is given back to the other workers.
            with contextlib.suppress(Exception):
                await self._finish(claim, after_a_crash(claim.tool, claim.call) if begun[0] else None)
            raise
        except Exception:
            _log.exception("a call failed in an unexpected way", call_id=str(claim.call.call_id))
            outcome = _unexpected(claim, begun[0])
        await self._finish(claim, outcome)
        CALLS.labels(kind_of(claim.tool), outcome.state.value).observe(time.perf_counter() - started)

    async def _finish(self, claim: Claim, outcome: Outcome | None) -> None:
        async with self.transactions.begin() as tx:
            ended = await tx.calls.finish(claim, outcome)
        if ended is None or outcome is None:
            return
        await self.endings.announce(ended.call_id)
        _log.info(
            "tool call ended",
            call_id=str(ended.call_id),
            tool=ended.tool_name,
            state=ended.state.value,
            reason=ended.error_reason,
            attempt=ended.attempt,
        )

    async def _outcome(self, claim: Claim, begun: list[bool]) -> Outcome:
        tool, call = claim.tool, claim.call
        if tool is None:
            return _failed("TOOL_GONE", "there is no such tool (any more)")
        if tool.needs_approval and tool.revision != call.tool_revision:
            return _failed("TOOL_GONE", "the tool was changed after the call was asked for: what was approved is gone")
        try:
            arguments = await self._arguments(claim, tool)
            headers = await self.secrets.headers(claim.owner, call.user_id, tool.secret_headers, tool.source)
        except (TimeoutError, SandboxBusy):
            return _failed("INTERNAL", "the arguments could not be checked in time: try again")
        except ArgumentsInvalid as wrong:
            return _failed("ARGUMENTS_INVALID", wrong.message)
        except CallFailed as failure:
            return _failed(failure.reason, failure.message)
        headers[IDEMPOTENCY_KEY] = str(call.call_id)
        return await self._tried(tool, arguments, headers, begun)

    async def _arguments(self, claim: Claim, tool: Tool) -> dict[str, Any]:
        call = claim.call
        if tool.revision == call.tool_revision:
            # They were checked against this very schema when the call was asked for.
            return read_arguments(call.arguments)
        async with asyncio.timeout(_CHECK_SECONDS):
            return await self.schemas.arguments(tool.arguments_schema, call.arguments, claim.owner)

    async def _tried(
        self, tool: Tool, arguments: Mapping[str, object], headers: Mapping[str, str], begun: list[bool]
    ) -> Outcome:
        caller = self.callers[type(tool.source)]
        for tries in range(tool.retries + 1):
            begun[0] = True
            outcome = "failed"
            try:
                async with asyncio.timeout(tool.timeout_seconds):
                    answer = await caller.call(tool.source, arguments, headers, tool.timeout_seconds)
                outcome = "succeeded"
                return Outcome(CallState.SUCCEEDED, answer.text, content=answer.content)
            except EgressRefused as refused:
                outcome = "refused"
                return _failed("EGRESS_REFUSED", refused.message)
            except CallFailed as caught:
                failure = caught
            except TimeoutError:
                outcome = "timed_out"
                failure = CallFailed("TIMEOUT", f"it took more than {tool.timeout_seconds} s", done=None, passing=True)
            finally:
                TRIES.labels(kind_of(tool), outcome).inc()
            # What was certainly not done may always be tried again; what may have been, if repeating does no harm.
            again = failure.passing and (failure.done is False or tool.idempotent)
            if not again or tries == tool.retries:
                break
            begun[0] = failure.done is not False
            await asyncio.sleep(pause(tries))
        if failure.done is None and not tool.idempotent:
            return Outcome(CallState.UNKNOWN, "", failure.reason, failure.message)
        return _failed(failure.reason, failure.message)


def _failed(reason: str, message: str) -> Outcome:
    return Outcome(CallState.FAILED, "", reason, message)


def _unexpected(claim: Claim, begun: bool) -> Outcome:
    if begun and claim.tool is not None and not claim.tool.idempotent:
        return Outcome(CallState.UNKNOWN, "", "OUTCOME_UNKNOWN", "the call broke off: it may have been done or not")
    return _failed("INTERNAL", "the call broke off")
