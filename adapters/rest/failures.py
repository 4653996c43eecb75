"""What can go wrong with a request before it reaches the upstream, and where in it."""

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest


class ValueInvalid(Exception):
    """A value cannot be what its field wants. Each level that it passes on its way up adds its name in front."""

    def __init__(self, problem: str, path: str = "") -> None:
        """Take what is wrong and where below the value that was looked at."""
        super().__init__(problem)
        self.problem = problem
        self.path = path

    def inside(self, name: str) -> "ValueInvalid":
        """Return the same, seen from the message that has the field `name`."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return ValueInvalid(self.problem, f"{name}{joint}{self.path}")


class Failure(Exception):
    """The answer to a request that ends here: a gRPC code, a text for the caller, and details."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *details: Message,
        http_status: int | None = None,
    ) -> None:
        """Take the answer; `http_status` when the code's own does not fit."""
        super().__init__(message)
        self.code: int = code.value[0]
        self.message = message
        self.details = details
        self.http_status = http_status


def invalid_field(field: str, message: str) -> Failure:
    """Return an INVALID_ARGUMENT whose message and google.rpc.BadRequest name the field."""
    if field not in message:
        message = f"{field}: {message}"
    violation = BadRequest.FieldViolation(field=field, description=message)
    return Failure(grpc.StatusCode.INVALID_ARGUMENT, message, BadRequest(field_violations=[violation]))
