"""The tools behind the service `tools`, reached over the mesh."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import grpc
from parley.tools.v1 import tool_call_pb2
from parley.tools.v1.tool_call_service_pb2 import (
    AwaitToolCallsRequest,
    RequestToolCallsRequest,
    WantedCall,
    WithdrawToolCallsRequest,
)
from parley.tools.v1.tool_call_service_pb2_grpc import ToolCallServiceStub
from parley.tools.v1.tool_service_pb2 import DescribeToolsRequest
from parley.tools.v1.tool_service_pb2_grpc import ToolServiceStub

from services.chassis.remote_errors import reason_of
from services.conversations.ports import Asker, Claim, ModelFailed, Tool
from services.conversations.rules import CallState, ToolCall

_STATES = {
    tool_call_pb2.TOOL_CALL_STATE_WAITING_FOR_APPROVAL: CallState.WAITING_FOR_APPROVAL,
    tool_call_pb2.TOOL_CALL_STATE_SUCCEEDED: CallState.SUCCEEDED,
    tool_call_pb2.TOOL_CALL_STATE_FAILED: CallState.FAILED,
    tool_call_pb2.TOOL_CALL_STATE_UNKNOWN: CallState.UNKNOWN,
    tool_call_pb2.TOOL_CALL_STATE_DENIED: CallState.DENIED,
    tool_call_pb2.TOOL_CALL_STATE_WITHDRAWN: CallState.WITHDRAWN,
}
_MARGIN_SECONDS = 10.0
_WITHDRAW_SECONDS = 5.0
_PREFIX = "TOOL_CALL_STATE_"


class MeshTools:
    """Implements the port Tools."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._tools = ToolServiceStub(channel)
        self._calls = ToolCallServiceStub(channel)

    async def describe(self, asker: Asker, tool_ids: Sequence[UUID]) -> list[Tool]:
        """See the port."""
        request = DescribeToolsRequest(
            tool_ids=map(str, tool_ids), user_id=asker.user_id, organization_id=asker.organization_id
        )
        try:
            described = await self._tools.DescribeTools(request)
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from error
        return [Tool(UUID(one.id), one.name, one.description, one.arguments_schema) for one in described.tools]

    async def request(self, claim: Claim, wanted: Sequence[ToolCall], depth: int) -> list[ToolCall]:
        """See the port."""
        asked = RequestToolCallsRequest(
            calls=[
                WantedCall(call_id=str(one.call_id), tool_id=str(one.tool_id), arguments=one.arguments)
                for one in wanted
            ],
            user_id=claim.asker.user_id,
            organization_id=claim.asker.organization_id,
            conversation_id=str(claim.run.conversation_id),
            run_id=str(claim.run.run_id),
            depth=depth,
        )
        try:
            return _standing(wanted, (await self._calls.RequestToolCalls(asked)).calls)
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from error

    async def wait(self, calls: Sequence[ToolCall], seconds: float) -> list[ToolCall]:
        """See the port."""
        request = AwaitToolCallsRequest(
            call_ids=[str(one.call_id) for one in calls], seconds=math.ceil(seconds), any=True
        )
        try:
            return _standing(
                calls, (await self._calls.AwaitToolCalls(request, timeout=seconds + _MARGIN_SECONDS)).calls
            )
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from error

    async def withdraw(self, run_id: UUID, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """See the port."""
        request, known = WithdrawToolCallsRequest(run_id=str(run_id)), {str(one.call_id) for one in calls}
        try:
            answer = await self._calls.WithdrawToolCalls(request, timeout=_WITHDRAW_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from error
        return _standing(calls, [one for one in answer.calls if one.id in known])


def _standing(calls: Sequence[ToolCall], found: Iterable[tool_call_pb2.ToolCall]) -> list[ToolCall]:
    known = {str(one.call_id): one for one in calls}
    return [replace(known[one.id], state=_STATES.get(one.state, CallState.STARTED), result=_told(one)) for one in found]


def _told(call: tool_call_pb2.ToolCall) -> str:
    if call.state == tool_call_pb2.TOOL_CALL_STATE_SUCCEEDED:
        return call.result
    state = tool_call_pb2.ToolCallState.Name(call.state).removeprefix(_PREFIX).lower().replace("_", " ")
    return f"{state}: {call.error.message}" if call.error.message else state


def _failed(error: grpc.aio.AioRpcError) -> ModelFailed:
    passing = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return ModelFailed(reason_of(error) or error.code().name, "the tools cannot be asked now", retryable=passing)
