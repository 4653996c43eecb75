"""Holds the caller against the access rule of the RPC. Whose rows they are is checked in the operations."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from parley.access.v1 import access_pb2

from services.chassis.caller import Caller
from services.chassis.errors import PermissionDenied
from services.chassis.interceptors.call import Call
from services.chassis.method_options import Access

_NAMES: dict[int, str] = {access_pb2.ORGANIZATION_ROLE_ADMIN: "admin", access_pb2.ORGANIZATION_ROLE_OWNER: "owner"}
RoleOf = Callable[[Caller], Awaitable[int]]
"""Returns what a caller is in the organisation of the token: a parley.access.v1.OrganizationRole, 0 for no member."""


def authorize_with(role_of: RoleOf) -> Callable[[Call], AbstractAsyncContextManager[None]]:
    """Return the interceptor that lets a call through when its access rule admits the caller.

    It raises PermissionDenied else. `role_of` is asked only when the rule wants more than a member, so that
    reading and using stay as quick as they are.
    """

    @asynccontextmanager
    async def authorize(call: Call) -> AsyncIterator[None]:
        needed = missing(call.access, call.caller) or await _missing_role(call.access, call.caller, role_of)
        if needed:
            raise PermissionDenied(method=call.method, needed=needed)
        yield

    return authorize


async def _missing_role(access: Access, caller: Caller, role_of: RoleOf) -> str:
    wanted = access.organization_role
    if wanted <= access_pb2.ORGANIZATION_ROLE_MEMBER or not caller.organization_id:
        return ""
    if await role_of(caller) >= wanted:
        return ""
    return f"the role {_NAMES[wanted]} in the organization"


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
