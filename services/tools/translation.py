"""Between the messages of the contract and the dataclasses of the rules."""

import base64
from collections.abc import Sequence
from typing import cast
from uuid import UUID

from parley.access.v1 import access_pb2
from parley.tools.v1 import tool_call_pb2, tool_call_service_pb2, tool_pb2, tool_secret_pb2, tool_secret_service_pb2

from services.chassis.etags import etag_of
from services.chassis.identifiers import optional_id
from services.chassis.timestamps import timestamp
from services.tools.operations.request_calls import Origin, Wanted
from services.tools.rules import (
    DEFAULT_TIMEOUT_SECONDS,
    Call,
    CallState,
    Content,
    GrpcSource,
    HttpSource,
    McpSource,
    SecretHeader,
    Source,
    Tool,
)
from services.tools.rules.secrets import ToolSecret

_STATES = {state: tool_call_pb2.ToolCallState.Value(f"TOOL_CALL_STATE_{state.name}") for state in CallState}
_NO_ID = UUID(int=0)


def secret_headers_from(protos: Sequence[tool_pb2.SecretHeader]) -> tuple[SecretHeader, ...]:
    """Return the secret headers of a request."""
    return tuple(SecretHeader(one.name, one.secret, one.prefix) for one in protos)


def mcp_from(proto: tool_pb2.McpSource) -> McpSource:
    """Return an MCP source of a request."""
    return McpSource(proto.url, proto.command, proto.tool)


def tool_from(proto: tool_pb2.Tool, tool_id: UUID = _NO_ID) -> Tool:
    """Return the wanted values of a tool; what the server sets is left empty."""
    return Tool(
        tool_id=tool_id,
        name=proto.name,
        description=proto.description,
        arguments_schema=proto.arguments_schema or '{"type": "object"}',
        source=_source_from(proto),
        secret_headers=secret_headers_from(proto.secret_headers),
        idempotent=proto.idempotent,
        needs_approval=proto.needs_approval,
        timeout_seconds=proto.timeout_seconds or DEFAULT_TIMEOUT_SECONDS,
        retries=proto.retries,
        requester_may_approve=proto.requester_may_approve,
    )


def given_in(proto: tool_pb2.Tool) -> list[str]:
    """Return the paths of what a client may set and is not empty in a tool, each field of its source by itself."""
    ours = ("id", "etag", "create_time", "update_time")
    source = proto.WhichOneof("source")
    below = [f"{source}.{field.name}" for field, _ in getattr(proto, source).ListFields()] if source else []
    return below + [field.name for field, _ in proto.ListFields() if field.name not in (*ours, source)]


def _source_from(proto: tool_pb2.Tool) -> Source:
    match proto.WhichOneof("source"):
        case "grpc":
            grpc = proto.grpc
            return GrpcSource(grpc.target, grpc.method, grpc.descriptor_set, grpc.plaintext)
        case "mcp":
            return mcp_from(proto.mcp)
        case _:
            http = proto.http
            return HttpSource(
                http.method,
                http.url,
                tuple(http.query),
                tuple(sorted(http.headers.items())),
                tuple(http.header_arguments),
                http.body_argument,
                http.form,
            )


def tool_to(tool: Tool) -> tool_pb2.Tool:
    """Return a tool for an answer."""
    proto = described_to(tool)
    match tool.source:
        case HttpSource() as http:
            proto.http.CopyFrom(
                tool_pb2.HttpSource(
                    method=http.method,
                    url=http.url,
                    query=http.query,
                    headers=dict(http.headers),
                    header_arguments=http.header_arguments,
                    body_argument=http.body_argument,
                    form=http.form,
                )
            )
        case GrpcSource() as grpc:
            proto.grpc.CopyFrom(
                tool_pb2.GrpcSource(
                    target=grpc.target,
                    method=grpc.method,
                    descriptor_set=grpc.descriptor_set,
                    plaintext=grpc.plaintext,
                )
            )
        case McpSource() as mcp:
            proto.mcp.CopyFrom(tool_pb2.McpSource(url=mcp.url, command=mcp.command, tool=mcp.tool))
    for header in tool.secret_headers:
        proto.secret_headers.add(name=header.name, secret=header.secret, prefix=header.prefix)
    return proto


def listed_to(tool: Tool) -> tool_pb2.Tool:
    """Return a tool for a list: a descriptor set may be large."""
    proto = tool_to(tool)
    if proto.HasField("grpc"):
        proto.grpc.ClearField("descriptor_set")
    return proto


def described_to(tool: Tool) -> tool_pb2.Tool:
    """Return a tool for a model: without where it is done and with which secrets."""
    return tool_pb2.Tool(
        id=str(tool.tool_id),
        name=tool.name,
        description=tool.description,
        arguments_schema=tool.arguments_schema,
        idempotent=tool.idempotent,
        needs_approval=tool.needs_approval,
        timeout_seconds=tool.timeout_seconds,
        retries=tool.retries,
        requester_may_approve=tool.requester_may_approve,
        etag=etag_of(tool.revision),
        create_time=timestamp(tool.created_at),
        update_time=timestamp(tool.updated_at),
    )


def call_to(call: Call) -> tool_call_pb2.ToolCall:
    """Return a call for an answer."""
    error = tool_call_pb2.ToolCallError(reason=call.error_reason, message=call.error_message)
    return tool_call_pb2.ToolCall(
        id=str(call.call_id),
        tool_id=str(call.tool_id),
        tool_name=call.tool_name,
        arguments=call.arguments,
        state=_STATES[call.state],
        result=call.result,
        error=error if call.error_reason else None,
        attempt=call.attempt,
        conversation_id=str(call.conversation_id or ""),
        run_id=str(call.run_id or ""),
        decided_by=call.decided_by,
        approval_expire_time=timestamp(call.approval_until),
        create_time=timestamp(call.created_at),
        start_time=timestamp(call.started_at),
        end_time=timestamp(call.ended_at),
        content=map(_content_to, call.content),
    )


def _content_to(part: Content) -> tool_call_pb2.ToolContent:
    return tool_call_pb2.ToolContent(
        type=part.type,
        text=part.text,
        data=base64.b64decode(part.data),
        mime_type=part.mime_type,
        uri=part.uri,
        name=part.name,
    )


def listed_call_to(call: Call) -> tool_call_pb2.ToolCall:
    """Return a call for a list: images and sounds may be large."""
    proto = call_to(call)
    for part in proto.content:
        part.ClearField("data")
    return proto


def told_to(call: Call) -> tool_call_pb2.ToolCall:
    """Return a call for the service whose model asked for it: a model reads the result."""
    proto = call_to(call)
    proto.ClearField("content")
    return proto


def secret_from(request: tool_secret_service_pb2.PutToolSecretRequest) -> ToolSecret:
    """Return where a secret is to be sent."""
    wanted = request.secret
    return ToolSecret(
        request.name, tuple(wanted.hosts), tuple(wanted.methods), tuple(wanted.user_ids), wanted.organization_role
    )


def secret_to(secret: ToolSecret) -> tool_secret_pb2.ToolSecret:
    """Return where a secret may be sent, for an answer."""
    return tool_secret_pb2.ToolSecret(
        name=secret.name,
        hosts=secret.hosts,
        methods=secret.methods,
        user_ids=secret.user_ids,
        organization_role=cast("access_pb2.OrganizationRole.ValueType", secret.organization_role),
        etag=etag_of(secret.revision),
        create_time=timestamp(secret.created_at),
        update_time=timestamp(secret.updated_at),
    )


def withdrawn_to(call: Call) -> tool_call_pb2.ToolCall:
    """Return a withdrawn call for an answer: all of a run's arguments together may be too long for one."""
    proto = told_to(call)
    proto.ClearField("arguments")
    return proto


def requested_from(request: tool_call_service_pb2.RequestToolCallsRequest) -> tuple[list[Wanted], Origin]:
    """Return the calls that are asked for, and for whom."""
    wanted = [Wanted(UUID(one.call_id), UUID(one.tool_id), one.arguments) for one in request.calls]
    origin = Origin(
        request.user_id,
        request.organization_id,
        optional_id(request.conversation_id),
        optional_id(request.run_id),
        request.depth,
    )
    return wanted, origin
