"""The few points on which Parley's REST face differs from grpc-gateway."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """How strict and how talkative the gateway is."""

    unknown_enum_names_fail: bool = True
    """Whether a JSON enum name that does not exist is a 400; grpc-gateway ignores it."""
    violations_in_details: bool = True
    """Whether a 400 made here carries google.rpc.BadRequest; grpc-gateway sends no details."""


PARLEY = Dialect()
GRPC_GATEWAY = Dialect(unknown_enum_names_fail=False, violations_in_details=False)
