"""What can go wrong with tools; protos/parley/tools/v1/error_reason.proto explains each."""

from services.chassis.errors import EtagOutdated, Kind, NotUpdatable, RequestIdSpent, ServiceError


class ToolsError(ServiceError):
    """A failure of this service."""

    domain = "tools.parley"


class ToolNotFound(ToolsError):
    """The owner has no such tool; whether another owner has, is not told."""

    kind = Kind.NOT_FOUND
    reason = "TOOL_NOT_FOUND"
    template = "tool_id: there is no tool {tool_id}"


class CallNotFound(ToolsError):
    """The owner has no such call."""

    kind = Kind.NOT_FOUND
    reason = "CALL_NOT_FOUND"
    template = "call_id: there is no call {call_id}"


class ToolNameTaken(ToolsError):
    """The owner has a tool of this name."""

    kind = Kind.ALREADY_EXISTS
    reason = "TOOL_NAME_TAKEN"
    template = "tool.name: there is a tool {name} already"


class SchemaInvalid(ToolsError):
    """The schema of a tool's arguments cannot be used."""

    kind = Kind.INVALID_ARGUMENT
    reason = "SCHEMA_INVALID"
    template = "tool.arguments_schema: {cause}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("tool.arguments_schema", self.message.partition(": ")[2]),)


class SourceInvalid(ToolsError):
    """The source of a tool cannot be used; `field` is the part of the request that says it."""

    kind = Kind.INVALID_ARGUMENT
    reason = "SOURCE_INVALID"
    template = "{field}: {cause}"

    def __init__(self, *, cause: object, field: str = "tool.source") -> None:
        super().__init__(field=field, cause=cause)

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return ((self.fields["field"], self.fields["cause"]),)


class DocumentInvalid(ToolsError):
    """An OpenAPI document cannot be used."""

    kind = Kind.INVALID_ARGUMENT
    reason = "DOCUMENT_INVALID"
    template = "document: {cause}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("document", self.message.partition(": ")[2]),)


class ServerUnusable(ToolsError):
    """An MCP server cannot be reached or used."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SERVER_UNUSABLE"
    template = "the server cannot be used: {cause}"


class ArgumentsInvalid(ToolsError):
    """The arguments are not as the tool's schema wants them."""

    kind = Kind.INVALID_ARGUMENT
    reason = "ARGUMENTS_INVALID"
    template = "arguments: {cause}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("arguments", self.message.partition(": ")[2]),)


class DepthExceeded(ToolsError):
    """Too many rounds of calls in one answer."""

    kind = Kind.INVALID_ARGUMENT
    reason = "DEPTH_EXCEEDED"
    template = "depth: {depth} is more than {most}"


class NotWaiting(ToolsError):
    """The call does not wait for approval."""

    kind = Kind.FAILED_PRECONDITION
    reason = "NOT_WAITING"
    template = "the call does not wait for approval: it is {state}"


class FieldNotUpdatable(ToolsError, NotUpdatable):
    """The update mask names a field that does not exist or cannot be changed."""


class RequestIdReused(ToolsError, RequestIdSpent):
    """The same id came before with something else."""


class EtagMismatch(ToolsError, EtagOutdated):
    """Somebody changed it since it was read."""


class SecretNotAllowed(ToolsError):
    """A secret may not be sent where a tool leads."""

    kind = Kind.INVALID_ARGUMENT
    reason = "SECRET_NOT_ALLOWED"
    template = "tool.secret_headers: the secret {secret}: {cause}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("tool.secret_headers", self.message.partition(": ")[2]),)


class SecretNotFound(ToolsError):
    """Nothing says where a secret of this name may be sent."""

    kind = Kind.NOT_FOUND
    reason = "SECRET_NOT_FOUND"
    template = "name: there is no secret {name}"


class OwnCall(ToolsError):
    """Who asked for a call wants to approve it."""

    kind = Kind.PERMISSION_DENIED
    reason = "OWN_CALL"
    template = "the call {call_id} was asked for by you: somebody else must approve it"


class EgressRefused(ToolsError):
    """Tools may not reach this address."""

    kind = Kind.INVALID_ARGUMENT
    reason = "EGRESS_REFUSED"
    template = "tools may not reach this address: {cause}"
