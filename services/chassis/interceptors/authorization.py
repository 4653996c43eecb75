"""Holds the caller against the access rule of the RPC. Whose rows they are is checked in the operations."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parley.access.v1 import access_pb2

from services.chassis.caller import Caller
from services.chassis.errors import PermissionDenied
from services.chassis.interceptors.call import Call
from services.chassis.method_options import Access


@asynccontextmanager
async def authorize(call: Call) -> AsyncIterator[None]:
    """Let the call through when its access rule admits the caller, else raise PermissionDenied."""
    needed = missing(call.access, call.caller)
    if needed:
        raise PermissionDenied(method=call.method, needed=needed)
    yield


def missing(access: Access, caller: Caller) -> str:
    """Return what the caller lacks for an RPC, in words; empty when it may call."""
    if access.level == access_pb2.LEVEL_PUBLIC:
        return ""
    if caller.api_key_id and access.scope not in caller.scopes:
        return (
            f"an API key with the scope {access.scope}" if access.scope else "a user's own token: it takes no API key"
        )
    if access.level == access_pb2.LEVEL_SIGNED_IN:
        return "" if caller.user_id else "a signed-in user"
    if access.level == access_pb2.LEVEL_ROLES:
        return "" if caller.roles & access.roles else f"the role {' or '.join(sorted(access.roles))}"
    if access.level == access_pb2.LEVEL_SERVICE:
        if not caller.service:
            return "one of Parley's own services"
        admitted = not access.services or caller.service in access.services
        return "" if admitted else f"the service {' or '.join(sorted(access.services))}"
    return "an access rule"
