"""Ask for calls and wait for them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.chassis.identifiers import new_id
from services.chassis.owners import Who, owners_for
from services.chassis.sandbox.running import SandboxBusy
from services.tools.errors import (
    ArgumentsInvalid,
    DepthExceeded,
    RequestIdReused,
    ToolNotFound,
)
from services.tools.ports import Endings, Schemas, Sight, Transactions
from services.tools.rules import Call, CallState, Tool, after_its_run

_INVOKE_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_CHECK_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that is asked for."""

    call_id: UUID
    tool_id: UUID
    arguments: str


@dataclass(frozen=True, slots=True)
class Origin:
    """For whom and where calls are asked for; `depth` counts the rounds of calls before."""

    user_id: str
    organization_id: str = ""
    conversation_id: UUID | None = None
    run_id: UUID | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many rounds of calls an answer may take, and for how many seconds an approval is waited for."""

    depth: int
    approval_seconds: float


@dataclass(frozen=True, slots=True)
class RequestCalls:
    """The operations of those who ask for calls."""

    transactions: Transactions
    endings: Endings
    limits: Limits
    schemas: Schemas

    async def request(self, wanted: Sequence[Wanted], origin: Origin) -> list[Call]:
        """Store calls for the workers, or for a person to approve, and return them. A known id is not stored again.

        What is wrong with one call alone, such as its arguments, ends that call as FAILED: a model reads why. New calls
        of a run whose calls were withdrawn are withdrawn too.

        Raises:
            DepthExceeded: too many rounds of calls came before.
            RequestIdReused: a call id was used before for another owner's call.
        """
        if origin.depth >= self.limits.depth:
            raise DepthExceeded(depth=origin.depth + 1, most=self.limits.depth)
        owners = owners_for(origin.user_id, origin.organization_id)
        async with self.transactions.read() as tx:
            found = {tool.tool_id: (tool, owner) for tool, owner in await tx.tools.several(_tool_ids(wanted), owners)}
        # Before the transaction: checking arguments may take seconds.
        deadline = asyncio.get_running_loop().time() + _CHECK_SECONDS
        new = []
        for one in wanted:
            tool, owner = found.get(one.tool_id, (None, owners[-1]))
            new.append((await self._call(one, tool, origin, owner, deadline), owner))
        async with self.transactions.begin() as tx:
            late = origin.run_id is not None and await tx.calls.run_has_ended(origin.run_id)
            for call, owner in new:
                if await tx.calls.add(_withdrawn(call) if late else call, owner):
                    continue
                if await tx.calls.get(call.call_id, [Sight(known) for known in owners]) is None:
                    raise RequestIdReused(request_id=call.call_id)
            calls = await tx.calls.several([one.call_id for one in wanted])
        self.transactions.nudge_committed()
        return calls

    async def _call(self, wanted: Wanted, tool: Tool | None, origin: Origin, owner: str, deadline: float) -> Call:
        """Return a new call, failed already when it cannot be done or its arguments are not checked by `deadline`."""
        if tool is None:
            return _failed(_new(wanted, None, origin), "TOOL_GONE", "there is no such tool")
        call = _new(wanted, tool, origin)
        try:
            async with asyncio.timeout_at(deadline):
                await self.schemas.arguments(tool.arguments_schema, wanted.arguments, owner)
        except ArgumentsInvalid as wrong:
            return _failed(call, "ARGUMENTS_INVALID", wrong.message)
        except (TimeoutError, SandboxBusy):
            return _failed(call, "INTERNAL", "the arguments could not be checked in time: try again")
        return self._admitted(call, tool)

    def _admitted(self, call: Call, tool: Tool) -> Call:
        if not tool.needs_approval:
            return call
        until = call.created_at + timedelta(seconds=self.limits.approval_seconds)
        return replace(call, state=CallState.WAITING_FOR_APPROVAL, approval_until=until)

    async def invoke(self, who: Who, tool_id: UUID, arguments: str, request_id: UUID | None) -> Call:
        """Call the owner's tool and return the call when it has ended, or as it stands after 30 s.

        Raises:
            ToolNotFound: the owner has none with this id.
            ArgumentsInvalid: the arguments are not as its schema wants them.
            RequestIdReused: the request id came before with another call.
            SandboxBusy: the arguments cannot be checked now.
        """
        call_id = request_id or new_id()
        async with self.transactions.read() as tx:
            tool = await tx.tools.get(tool_id, who.owner)
        if tool is None:
            raise ToolNotFound(tool_id=tool_id)
        # Before the transaction: checking arguments may take seconds.
        await self.schemas.arguments(tool.arguments_schema, arguments, who.owner)
        wanted = self._admitted(_new(Wanted(call_id, tool_id, arguments), tool, Origin(who.user_id)), tool)
        async with self.transactions.begin() as tx:
            if not await tx.calls.add(wanted, who.owner):
                # Another one's call of the same tool is not shown, whoever knows its id.
                before = await tx.calls.get(call_id, [Sight(who.owner, asked_by=who.user_id)])
                if before is None or (before.tool_id, before.arguments) != (tool_id, arguments or "{}"):
                    raise RequestIdReused(request_id=call_id)
        self.transactions.nudge_committed()
        waits = wanted.state is CallState.WAITING_FOR_APPROVAL
        (call,) = await self.wait([call_id], 0 if waits else _INVOKE_SECONDS)
        return call

    async def wait(self, call_ids: Sequence[UUID], seconds: float, *, any_change: bool = False) -> list[Call]:
        """Return the calls once all of them have ended, or as they stand after some seconds.

        With `any_change` one that has ended, or does not wait for a person any more, is enough.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        waited: set[UUID] = set()
        async with self.endings.waiting(call_ids) as ended:
            while True:
                async with self.transactions.read() as tx:
                    calls = await tx.calls.several(call_ids)
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0 or all(call.state.has_ended for call in calls):
                    return calls
                waiting = {call.call_id for call in calls if call.state is CallState.WAITING_FOR_APPROVAL}
                if any_change and (waited - waiting or any(call.state.has_ended for call in calls)):
                    return calls
                waited = waiting
                # An announcement may be lost: look now and then.
                await ended.wait(min(_LOOK_SECONDS, left))


def _tool_ids(wanted: Sequence[Wanted]) -> list[UUID]:
    return [one.tool_id for one in wanted]


def _new(wanted: Wanted, tool: Tool | None, origin: Origin) -> Call:
    return Call(
        call_id=wanted.call_id,
        tool_id=wanted.tool_id,
        tool_name=tool.name if tool else "",
        tool_revision=tool.revision if tool else 0,
        arguments=wanted.arguments or "{}",
        state=CallState.REQUESTED,
        user_id=origin.user_id,
        created_at=datetime.now(UTC),
        conversation_id=origin.conversation_id,
        run_id=origin.run_id,
    )


def _failed(call: Call, reason: str, message: str) -> Call:
    return replace(call, state=CallState.FAILED, error_reason=reason, error_message=message, ended_at=call.created_at)


def _withdrawn(call: Call) -> Call:
    if call.state.has_ended:
        return call
    outcome = after_its_run(0)
    ended = _failed(call, outcome.error_reason, outcome.error_message)
    return replace(ended, state=outcome.state, approval_until=None)
