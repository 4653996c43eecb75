"""The gRPC services: each RPC reads the request, calls one operation and builds the response."""

from typing import Any
from uuid import UUID

from parley.tools.v1 import tool_call_service_pb2 as call_pb
from parley.tools.v1 import tool_call_service_pb2_grpc as call_grpc
from parley.tools.v1 import tool_secret_service_pb2 as secret_pb
from parley.tools.v1 import tool_secret_service_pb2_grpc as secret_grpc
from parley.tools.v1 import tool_service_pb2 as tool_pb
from parley.tools.v1 import tool_service_pb2_grpc as tool_grpc

from services.chassis.identifiers import optional_id
from services.chassis.owners import who
from services.tools.operations.decide_calls import DecideCalls
from services.tools.operations.import_tools import ImportTools
from services.tools.operations.keep_secrets import KeepSecrets
from services.tools.operations.keep_tools import KeepTools
from services.tools.operations.request_calls import RequestCalls
from services.tools.operations.withdraw_calls import WithdrawCalls
from services.tools.ports import CallFilter
from services.tools.translation import (
    call_to,
    described_to,
    given_in,
    listed_call_to,
    listed_to,
    mcp_from,
    requested_from,
    secret_from,
    secret_headers_from,
    secret_to,
    told_to,
    tool_from,
    tool_to,
    withdrawn_to,
)


class ToolServicer(tool_grpc.ToolServiceServicer):
    """Serves parley.tools.v1.ToolService."""

    def __init__(self, tools: KeepTools, imports: ImportTools) -> None:
        self._tools = tools
        self._imports = imports

    async def CreateTool(self, request: tool_pb.CreateToolRequest, context: Any) -> tool_pb.CreateToolResponse:
        tool = await self._tools.create(who(), tool_from(request.tool), optional_id(request.request_id))
        return tool_pb.CreateToolResponse(tool=tool_to(tool))

    async def ListTools(self, request: tool_pb.ListToolsRequest, context: Any) -> tool_pb.ListToolsResponse:
        page, following = await self._tools.page(who(), request.page_size, request.page_token)
        return tool_pb.ListToolsResponse(tools=map(listed_to, page), next_page_token=following)

    async def GetTool(self, request: tool_pb.GetToolRequest, context: Any) -> tool_pb.GetToolResponse:
        return tool_pb.GetToolResponse(tool=tool_to(await self._tools.get(who(), UUID(request.tool_id))))

    async def UpdateTool(self, request: tool_pb.UpdateToolRequest, context: Any) -> tool_pb.UpdateToolResponse:
        wanted = tool_from(request.tool, UUID(request.tool_id))
        tool = await self._tools.update(
            who(), wanted, list(request.update_mask.paths), given_in(request.tool), request.etag
        )
        return tool_pb.UpdateToolResponse(tool=tool_to(tool))

    async def DeleteTool(self, request: tool_pb.DeleteToolRequest, context: Any) -> tool_pb.DeleteToolResponse:
        await self._tools.delete(who(), UUID(request.tool_id))
        return tool_pb.DeleteToolResponse()

    async def ImportOpenApi(self, request: tool_pb.ImportOpenApiRequest, context: Any) -> tool_pb.ImportOpenApiResponse:
        made, skipped = await self._imports.openapi(
            who(),
            request.document,
            list(request.operation_ids),
            request.server_url,
            secret_headers_from(request.secret_headers),
        )
        left_out = [tool_pb.SkippedOperation(operation=one.operation, reason=one.reason) for one in skipped]
        return tool_pb.ImportOpenApiResponse(tools=map(tool_to, made), skipped=left_out)

    async def ImportMcp(self, request: tool_pb.ImportMcpRequest, context: Any) -> tool_pb.ImportMcpResponse:
        made = await self._imports.mcp(
            who(), mcp_from(request.server), list(request.tools), secret_headers_from(request.secret_headers)
        )
        return tool_pb.ImportMcpResponse(tools=map(tool_to, made))

    async def DescribeTools(self, request: tool_pb.DescribeToolsRequest, context: Any) -> tool_pb.DescribeToolsResponse:
        tools = await self._tools.describe(
            [UUID(one) for one in request.tool_ids], request.user_id, request.organization_id
        )
        return tool_pb.DescribeToolsResponse(tools=map(described_to, tools))


class ToolSecretServicer(secret_grpc.ToolSecretServiceServicer):
    """Serves parley.tools.v1.ToolSecretService."""

    def __init__(self, secrets: KeepSecrets) -> None:
        self._secrets = secrets

    async def PutToolSecret(
        self, request: secret_pb.PutToolSecretRequest, context: Any
    ) -> secret_pb.PutToolSecretResponse:
        stored = await self._secrets.put(who(), secret_from(request), request.etag)
        return secret_pb.PutToolSecretResponse(secret=secret_to(stored))

    async def ListToolSecrets(
        self, request: secret_pb.ListToolSecretsRequest, context: Any
    ) -> secret_pb.ListToolSecretsResponse:
        page, following = await self._secrets.page(who(), request.page_size, request.page_token)
        return secret_pb.ListToolSecretsResponse(secrets=map(secret_to, page), next_page_token=following)

    async def GetToolSecret(
        self, request: secret_pb.GetToolSecretRequest, context: Any
    ) -> secret_pb.GetToolSecretResponse:
        return secret_pb.GetToolSecretResponse(secret=secret_to(await self._secrets.get(who(), request.name)))

    async def DeleteToolSecret(
        self, request: secret_pb.DeleteToolSecretRequest, context: Any
    ) -> secret_pb.DeleteToolSecretResponse:
        await self._secrets.delete(who(), request.name)
        return secret_pb.DeleteToolSecretResponse()


class ToolCallServicer(call_grpc.ToolCallServiceServicer):
    """Serves parley.tools.v1.ToolCallService."""

    def __init__(self, calls: RequestCalls, deciding: DecideCalls, withdrawing: WithdrawCalls) -> None:
        self._calls = calls
        self._deciding = deciding
        self._withdrawing = withdrawing

    async def InvokeTool(self, request: call_pb.InvokeToolRequest, context: Any) -> call_pb.InvokeToolResponse:
        call = await self._calls.invoke(
            who(), UUID(request.tool_id), request.arguments, optional_id(request.request_id)
        )
        return call_pb.InvokeToolResponse(call=call_to(call))

    async def ListToolCalls(self, request: call_pb.ListToolCallsRequest, context: Any) -> call_pb.ListToolCallsResponse:
        wanted = CallFilter(optional_id(request.tool_id), optional_id(request.in_conversation))
        page, following = await self._deciding.page(who(), wanted, request.page_size, request.page_token)
        return call_pb.ListToolCallsResponse(calls=map(listed_call_to, page), next_page_token=following)

    async def GetToolCall(self, request: call_pb.GetToolCallRequest, context: Any) -> call_pb.GetToolCallResponse:
        return call_pb.GetToolCallResponse(call=call_to(await self._deciding.get(who(), UUID(request.call_id))))

    async def ListPendingApprovals(
        self, request: call_pb.ListPendingApprovalsRequest, context: Any
    ) -> call_pb.ListPendingApprovalsResponse:
        page, following = await self._deciding.page(
            who(), CallFilter(waiting_only=True), request.page_size, request.page_token
        )
        return call_pb.ListPendingApprovalsResponse(calls=map(listed_call_to, page), next_page_token=following)

    async def ApproveToolCall(
        self, request: call_pb.ApproveToolCallRequest, context: Any
    ) -> call_pb.ApproveToolCallResponse:
        call = await self._deciding.approve(who(), UUID(request.call_id))
        return call_pb.ApproveToolCallResponse(call=call_to(call))

    async def DenyToolCall(self, request: call_pb.DenyToolCallRequest, context: Any) -> call_pb.DenyToolCallResponse:
        call = await self._deciding.deny(who(), UUID(request.call_id), request.reason)
        return call_pb.DenyToolCallResponse(call=call_to(call))

    async def RequestToolCalls(
        self, request: call_pb.RequestToolCallsRequest, context: Any
    ) -> call_pb.RequestToolCallsResponse:
        calls = await self._calls.request(*requested_from(request))
        return call_pb.RequestToolCallsResponse(calls=map(told_to, calls))

    async def AwaitToolCalls(
        self, request: call_pb.AwaitToolCallsRequest, context: Any
    ) -> call_pb.AwaitToolCallsResponse:
        calls = await self._calls.wait([UUID(one) for one in request.call_ids], request.seconds, any_change=request.any)
        return call_pb.AwaitToolCallsResponse(calls=map(told_to, calls))

    async def WithdrawToolCalls(
        self, request: call_pb.WithdrawToolCallsRequest, context: Any
    ) -> call_pb.WithdrawToolCallsResponse:
        calls = await self._withdrawing.withdraw(UUID(request.run_id))
        return call_pb.WithdrawToolCallsResponse(calls=map(withdrawn_to, calls))
