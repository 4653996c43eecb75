"""What can go wrong with a request before it reaches the upstream, and where in it."""

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest


class ValueInvalid(Exception):
    """A value cannot be what its field wants. Each level that it passes on its way up adds its name in front."""

    def __init__(self, problem: str, path: str = "", go: str = "") -> None:
        """Take what is wrong, where below the value that was looked at, and how Go's libraries would put it."""
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.go = go or problem

    def inside(self, name: str) -> "ValueInvalid":
        """Return the same, seen from the message that has the field `name`."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return ValueInvalid(self.problem, f"{name}{joint}{self.path}", self.go)


class Failure(Exception):
    """The answer to a request that ends here: a gRPC code, a text for the caller, and details."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *details: Message,
        http_status: int | None = None,
        go: str = "",
    ) -> None:
        """Take the answer; `http_status` when the code's own does not fit, `go` for grpc-gateway's text."""
        super().__init__(message)
        self.code: int = code.value[0]
        self.message = message
        self.details = details
        self.http_status = http_status
        self.go_message = go or message
        self.headers: list[tuple[bytes, bytes]] = []


def invalid_field(field: str, message: str, *, go: str = "") -> Failure:
    """Return an INVALID_ARGUMENT whose message and google.rpc.BadRequest name the field; `go` as in Failure."""
    go = go or message
    if field not in message:
        message = f"{field}: {message}"
    violation = BadRequest.FieldViolation(field=field, description=message)
    return Failure(grpc.StatusCode.INVALID_ARGUMENT, message, BadRequest(field_violations=[violation]), go=go)
