"""What other services ask of `tools`, over real gRPC."""

from pathlib import Path
from uuid import UUID

import grpc
import pytest
from parley.tools.v1.tool_call_pb2 import TOOL_CALL_STATE_FAILED, TOOL_CALL_STATE_REQUESTED, TOOL_CALL_STATE_SUCCEEDED
from parley.tools.v1.tool_call_service_pb2 import AwaitToolCallsRequest, RequestToolCallsRequest, WantedCall
from parley.tools.v1.tool_call_service_pb2_grpc import ToolCallServiceStub
from parley.tools.v1.tool_service_pb2 import DescribeToolsRequest
from parley.tools.v1.tool_service_pb2_grpc import ToolServiceStub

from services.chassis.identifiers import new_id
from services.chassis.owners import Who
from tests.acceptance.tools.conftest import House
from tests.support.served import served


async def test_other_services_describe_request_and_await(
    house: House, ann: Who, postgres_url: str, valkey_url: str, tmp_path: Path
) -> None:
    tool = await house.tool(ann, "/order", schema='{"type": "object", "required": ["n"]}')
    async with served("tools", tmp_path, postgres_url, valkey_url) as channel:
        tools, calls = ToolServiceStub(channel), ToolCallServiceStub(channel)
        described = await tools.DescribeTools(
            DescribeToolsRequest(tool_ids=[str(tool.tool_id), str(new_id())], user_id=ann.user_id)
        )
        assert [(one.name, one.WhichOneof("source")) for one in described.tools] == [(tool.name, None)]
        ids = [str(new_id()) for _ in range(2)]
        wanted = [
            WantedCall(call_id=call_id, tool_id=str(tool.tool_id), arguments=arguments)
            for call_id, arguments in zip(ids, ('{"n": 1}', "{}"), strict=True)
        ]
        request = RequestToolCallsRequest(calls=wanted, user_id=ann.user_id)
        asked = await calls.RequestToolCalls(request)
        assert [one.state for one in asked.calls] == [TOOL_CALL_STATE_REQUESTED, TOOL_CALL_STATE_FAILED]
        await house.dispatching.dispatch(UUID(ids[0]))
        ended = await calls.AwaitToolCalls(AwaitToolCallsRequest(call_ids=ids, seconds=10))
        assert [one.state for one in ended.calls] == [TOOL_CALL_STATE_SUCCEEDED, TOOL_CALL_STATE_FAILED]
        assert ended.calls[0].result == "seen 1"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await calls.RequestToolCalls(RequestToolCallsRequest(calls=wanted, user_id=ann.user_id, depth=99))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
