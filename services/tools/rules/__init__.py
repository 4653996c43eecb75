"""What tools and their calls are, and the decisions about them. Pure: times and ids come in as arguments."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import Enum
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from services.chassis.errors import InvalidFields
from services.chassis.strict_json import JsonRefused, read_json
from services.tools.errors import (
    ArgumentsInvalid,
    FieldNotUpdatable,
    SourceInvalid,
)
from services.tools.rules.requests import header_wrong, repeated_header, split_url

DEFAULT_TIMEOUT_SECONDS = 30
ADMINISTRATOR = 2
"""The number in parley.access.v1.OrganizationRole from which on somebody decides about an organisation's calls."""
MAX_CLAIMS = 5
"""A repeatable call that was taken up this often and never ended fails."""
WITHOUT_BODY = ("GET", "DELETE")
_AROUND_PATH = re.compile(r"^([^/?#]*//[^/?#]*)[^?#]*(.*)$", re.DOTALL)
_TARGET = re.compile(r"[^/?#]+:[0-9]+")
_IN_URL = re.compile(r"\{([^{}]*)\}")


class CallState(Enum):
    """Where a call stands; the values are what is stored."""

    REQUESTED = "requested"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to the call any more."""
        return self not in (CallState.REQUESTED, CallState.WAITING_FOR_APPROVAL, CallState.RUNNING)


@dataclass(frozen=True, slots=True)
class SecretHeader:
    """A header whose value is `prefix` and a secret."""

    name: str
    secret: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class HttpSource:
    """An HTTP request; `{name}` in the path of the URL is an argument, and so is each of `query`."""

    method: str
    url: str
    query: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    header_arguments: tuple[str, ...] = ()
    body_argument: str = ""
    form: bool = False


@dataclass(frozen=True, slots=True)
class GrpcSource:
    """A unary gRPC method; `descriptor_set` holds it and what it imports."""

    target: str
    method: str
    descriptor_set: bytes
    plaintext: bool = False


@dataclass(frozen=True, slots=True)
class McpSource:
    """A tool of an MCP server: at a URL, or a command of the operators."""

    url: str
    command: str
    tool: str


Source = HttpSource | GrpcSource | McpSource


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a model may ask to be done. `revision` counts its changes from 1."""

    tool_id: UUID
    name: str
    description: str
    arguments_schema: str
    source: Source
    secret_headers: tuple[SecretHeader, ...] = ()
    idempotent: bool = False
    needs_approval: bool = False
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    retries: int = 0
    revision: int = 1
    requester_may_approve: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A part of an answer that is more than text; `data` is in base64, as the protocol of tools carries it."""

    type: str
    text: str = ""
    data: str = ""
    mime_type: str = ""
    uri: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answered: a text or JSON for the model, and the parts of it when there is more than text."""

    text: str
    content: tuple[Content, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool, for its owner."""

    call_id: UUID
    tool_id: UUID
    tool_name: str
    tool_revision: int
    arguments: str
    state: CallState
    user_id: str
    created_at: datetime
    result: str = ""
    error_reason: str = ""
    error_message: str = ""
    attempt: int = 0
    conversation_id: UUID | None = None
    run_id: UUID | None = None
    decided_by: str = ""
    approval_until: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    content: tuple[Content, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended."""

    state: CallState
    result: str = ""
    error_reason: str = ""
    error_message: str = ""
    content: tuple[Content, ...] = ()


def secret_name(owner: str, secret: str) -> str:
    """Return the name in the secret store of an owner's secret; one owner cannot name another's."""
    return f"tools/{owner.replace(':', '-')}-{secret}"


_FIELDS = (
    "name",
    "description",
    "arguments_schema",
    "source",
    "secret_headers",
    "idempotent",
    "needs_approval",
    "timeout_seconds",
    "retries",
    "requester_may_approve",
)
_SOURCES: dict[str, Source] = {
    "http": HttpSource("", ""),
    "grpc": GrpcSource("", "", b""),
    "mcp": McpSource("", "", ""),
}
"""The kinds of sources, each with nothing in it."""


def updated(tool: Tool, wanted: Tool, paths: Iterable[str], given: Iterable[str]) -> Tool:
    """Return `tool` with the fields that the mask names taken from `wanted`.

    A path may name a field of a source (`http.url`): the others stay as they are, or empty when the source was of
    another kind. An empty mask means what is `given`: the fields of the request that are not empty.

    Raises:
        FieldNotUpdatable: a path names a field that does not exist or is the server's, or of a source not in `wanted`.
    """
    changed = tool
    for path in list(paths) or given:
        if path.partition(".")[0] in _SOURCES:
            changed = replace(changed, source=_source_updated(changed.source, wanted.source, path))
        elif path in _FIELDS:
            changed = replace(changed, **{path: getattr(wanted, path)})
        else:
            raise FieldNotUpdatable(field=path)
    return changed


def _source_updated(source: Source, wanted: Source, path: str) -> Source:
    kind, _, field = path.partition(".")
    empty = _SOURCES[kind]
    if not isinstance(wanted, type(empty)) or (path != kind and field not in _names(empty)):
        raise FieldNotUpdatable(field=path)
    if path == kind:
        return wanted
    kept = source if isinstance(source, type(empty)) else empty
    return replace(kept, **{field: getattr(wanted, field)})


def _names(source: Source) -> list[str]:
    return [one.name for one in fields(source)]


def read_arguments(arguments: str) -> dict[str, Any]:
    """Return arguments, read from JSON; no schema has been looked at. Raises ArgumentsInvalid."""
    try:
        parsed = read_json(arguments or "{}")
    except JsonRefused as refused:
        raise ArgumentsInvalid(cause=f"the text {refused}") from None
    if not isinstance(parsed, dict):
        raise ArgumentsInvalid(cause="they are not a JSON object")
    return parsed


def check_source(source: Source, has_secrets: bool) -> None:
    """Raise SourceInvalid when a source says too little or what makes no sense. Where it leads is checked elsewhere."""
    match source:
        case HttpSource():
            _check_http(source)
        case GrpcSource():
            if not source.target or not source.method or not source.descriptor_set:
                raise SourceInvalid(cause="grpc needs a target, a method and a descriptor_set")
            check_url(f"https://{source.target}", "tool.grpc.target")
            if not _TARGET.fullmatch(source.target):
                raise SourceInvalid(cause="must be HOST:PORT", field="tool.grpc.target")
            if has_secrets and source.plaintext:
                raise SourceInvalid(cause="secrets are sent over TLS only")
        case McpSource():
            if bool(source.url) == bool(source.command) or not source.tool:
                raise SourceInvalid(cause="mcp needs either a url or a command, and a tool")
            if has_secrets and source.command:
                raise SourceInvalid(cause="a command gets no headers, so it takes no secret_headers")
            if source.url:
                check_url(source.url, "tool.mcp.url")


def _check_http(source: HttpSource) -> None:
    if not source.method or not source.url:
        raise SourceInvalid(cause="http needs a method and a url")
    plain = without_arguments(source.url)
    if set("{}") & set(plain):
        raise SourceInvalid(cause="the braces in the url do not match")
    if set("{}") & set(_AROUND_PATH.sub(r"\1\2", source.url)):
        # Else a model would choose which host gets the secrets.
        raise SourceInvalid(cause="arguments may stand in the path of the url only")
    check_url(plain, "tool.http.url")
    if source.body_argument and (source.form or source.method in WITHOUT_BODY):
        raise SourceInvalid(cause="body_argument needs a JSON body: no form, GET or DELETE")
    for cause in (header_wrong(name, "") for name in source.header_arguments):
        if cause:
            raise SourceInvalid(cause=cause, field="tool.http.header_arguments")
    again = repeated_header(name for name, _ in source.headers)
    wrong = [header_wrong(name, value) for name, value in source.headers]
    for cause in (*wrong, f"the header {again} is there twice" if again else ""):
        if cause:
            raise SourceInvalid(cause=cause, field="tool.http.headers")


def check_url(url: str, field: str) -> None:
    """Raise SourceInvalid, naming the field, when a text is no URL that a tool may have."""
    try:
        split_url(url)
    except ValueError as wrong:
        raise SourceInvalid(cause=wrong, field=field) from None


def check_secret_headers(headers: Iterable[SecretHeader], source: Source | None, field: str) -> None:
    """Raise InvalidFields, naming the field, when headers with secrets cannot be sent, or frame or route a request."""
    found = list(headers)
    wrong: list[tuple[str, str]] = []
    for index, one in enumerate(found):
        if cause := header_wrong(one.name, f"{one.prefix}x"):
            wrong.append((f"{field}[{index}].name", cause))
        elif isinstance(source, GrpcSource) and one.name.lower().endswith("-bin"):
            wrong.append(
                (f"{field}[{index}].name", "metadata of gRPC with secrets is text: its name may not end in -bin")
            )
        if not one.secret:
            wrong.append((f"{field}[{index}].secret", "is required"))
    plain = [name for name, _ in source.headers] if isinstance(source, HttpSource) else []
    if again := repeated_header([*plain, *(one.name for one in found)]):
        wrong.append((field, f"the header {again} is there twice"))
    if wrong:
        raise InvalidFields(wrong)


def server_of(source: Source) -> Source:
    """Return a source that leads to the same server, and is the same for all that do."""
    match source:
        case HttpSource():
            split = urlsplit(source.url)
            return HttpSource("GET", f"{split.scheme}://{split.netloc}/")
        case GrpcSource():
            return GrpcSource(source.target, "", b"", source.plaintext)
        case McpSource():
            return replace(source, tool="")


def without_arguments(url: str) -> str:
    """Return a URL with something harmless in the place of its arguments: it leads to the same host."""
    return _IN_URL.sub("_", url)


def path_arguments(url: str) -> list[str]:
    """Return the names of the arguments that stand in a URL."""
    return _IN_URL.findall(url)


def filled_url(url: str, values: dict[str, str]) -> str:
    """Return a URL with (escaped) values in the place of its arguments."""
    return _IN_URL.sub(lambda match: values[match[1]], url)


def lease_seconds(tool: Tool) -> float:
    """Return after how long a worker that called the tool must be dead: every try, the pauses, and a margin."""
    return (tool.timeout_seconds + 1.0) * (tool.retries + 1) + sum(pause(n) for n in range(tool.retries)) + 10.0


def pause(tries: int) -> float:
    """Return the seconds to wait after so many failed tries."""
    return float(min(0.5 * 2**tries, 8.0))


def after_a_crash(tool: Tool | None, call: Call) -> Outcome | None:
    """Return how a call ends whose worker is gone; None when it may be done again."""
    if tool is not None and tool.idempotent and call.attempt < MAX_CLAIMS:
        return None
    if tool is not None and tool.idempotent:
        return Outcome(CallState.FAILED, "", "INTERNAL", f"the call was taken up {MAX_CLAIMS} times and never ended")
    return Outcome(
        CallState.UNKNOWN,
        "",
        "OUTCOME_UNKNOWN",
        "the call was begun and its worker was lost: it may have been done or not",
    )


def after_its_run(attempt: int) -> Outcome:
    """Return how a call ends that no worker has when its run ends; `attempt` says how often it was taken up."""
    if not attempt:
        return Outcome(CallState.WITHDRAWN, "", "RUN_ENDED", "the run ended before the call was begun")
    why = "the call was begun, and its run ended before it could be tried again: it may have been done or not"
    return Outcome(CallState.UNKNOWN, "", "OUTCOME_UNKNOWN", why)
