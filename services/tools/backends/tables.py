"""The tables of this service, as its migrations create them, and how their rows become dataclasses."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Row, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.chassis.outbox import outbox_table
from services.tools.rules import (
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

_METADATA = MetaData()
SCHEMA = "tools"
_TIME = DateTime(timezone=True)
_KINDS: dict[type[Source], str] = {HttpSource: "http", GrpcSource: "grpc", McpSource: "mcp"}

TOOL = Table(
    "tool",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("owner", Text),
    Column("name", Text),
    Column("description", Text),
    Column("arguments_schema", Text),
    Column("source", JSONB),
    Column("secret_headers", JSONB),
    Column("idempotent", Boolean),
    Column("needs_approval", Boolean),
    Column("timeout_seconds", Integer),
    Column("retries", Integer),
    Column("revision", Integer),
    Column("requester_may_approve", Boolean),
    Column("request_id", Uuid),
    Column("created_at", _TIME),
    Column("updated_at", _TIME),
    schema=SCHEMA,
)
CALL = Table(
    "call",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("position", BigInteger),
    Column("owner", Text),
    Column("user_id", Text),
    Column("tool_id", Uuid),
    Column("tool_name", Text),
    Column("tool_revision", Integer),
    Column("arguments", Text),
    Column("state", Text),
    Column("result", Text),
    Column("error_reason", Text),
    Column("error_message", Text),
    Column("attempt", Integer),
    Column("conversation_id", Uuid),
    Column("run_id", Uuid),
    Column("decided_by", Text),
    Column("approval_until", _TIME),
    Column("fence", Integer),
    Column("lease_until", _TIME),
    Column("nudged_at", _TIME),
    Column("nudges", Integer),
    Column("created_at", _TIME),
    Column("started_at", _TIME),
    Column("ended_at", _TIME),
    Column("content", JSONB),
    schema=SCHEMA,
)
SECRET = Table(
    "secret",
    _METADATA,
    Column("owner", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("hosts", JSONB),
    Column("methods", JSONB),
    Column("user_ids", JSONB),
    Column("organization_role", Integer),
    Column("revision", Integer),
    Column("created_at", _TIME),
    Column("updated_at", _TIME),
    schema=SCHEMA,
)
ENDED_RUN = Table(
    "ended_run",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("ended_at", _TIME),
    schema=SCHEMA,
)
OUTBOX = outbox_table(_METADATA, SCHEMA)


LISTED = (
    *(column for column in TOOL.c if column.name != "source"),
    # Up to a million bytes each. Lists and descriptions of tools do not show it.
    TOOL.c.source.delete_path(["grpc", "descriptor_set"]).label("source"),
)
"""The columns of a tool without its descriptors, which `tool_of` reads as empty."""


def tool_of(row: Row[Any]) -> Tool:
    """Return the tool in a row of TOOL."""
    values = _columns(row, Tool, "tool_id")
    values["source"] = _source(*row.source.items())
    values["secret_headers"] = tuple(SecretHeader(**one) for one in row.secret_headers)
    return Tool(row.id, **values)


def _source(stored: tuple[str, dict[str, Any]]) -> Source:
    kind, values = stored
    if kind == "grpc":
        return GrpcSource(**{**values, "descriptor_set": bytes.fromhex(values.get("descriptor_set", ""))})
    if kind == "mcp":
        return McpSource(**values)
    headers = tuple((name, value) for name, value in values["headers"])
    # Tools that were made before these could be said hold nothing of them.
    in_headers = tuple(values.get("header_arguments", ()))
    whole_body, is_form = values.get("body_argument", ""), values.get("form", False)
    return HttpSource(values["method"], values["url"], tuple(values["query"]), headers, in_headers, whole_body, is_form)


def stored_tool(tool: Tool) -> dict[str, Any]:
    """Return a tool as it is stored."""
    values = asdict(tool)
    source = dict(values["source"])
    if isinstance(tool.source, GrpcSource):
        source["descriptor_set"] = tool.source.descriptor_set.hex()
    return {"id": values.pop("tool_id"), **values, "source": {_KINDS[type(tool.source)]: source}}


def place_of(source: Source) -> dict[str, Any]:
    """Return what the stored sources that lead to the same place hold."""
    match source:
        case HttpSource():
            place = {"method": source.method, "url": source.url}
        case GrpcSource():
            place = {"target": source.target, "method": source.method}
        case McpSource():
            place = {"url": source.url, "command": source.command, "tool": source.tool}
    return {_KINDS[type(source)]: place}


def call_of(row: Row[Any]) -> Call:
    """Return the call in a row of CALL."""
    values = _columns(row, Call, "call_id")
    values |= {"state": CallState(row.state), "content": tuple(Content(**one) for one in row.content)}
    return Call(row.id, **values)


def stored_call(call: Call) -> dict[str, Any]:
    """Return a call as it is stored."""
    values = asdict(call)
    return {"id": values.pop("call_id"), **values, "state": call.state.value}


def secret_of(row: Row[Any]) -> ToolSecret:
    """Return where a secret may be sent, as it stands in a row of SECRET."""
    values = _columns(row, ToolSecret, "")
    values |= {name: tuple(values[name]) for name in ("hosts", "methods", "user_ids")}
    return ToolSecret(**values)


def _columns(row: Row[Any], kind: type, id_field: str) -> dict[str, Any]:
    fields: dict[str, Any] = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return {name: getattr(row, name) for name in fields if name != id_field}
