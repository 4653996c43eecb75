"""Finds out who calls. Every service checks the token itself, whatever Envoy did before."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from services.chassis import caller as callers
from services.chassis.caller import Caller
from services.chassis.errors import Unauthenticated
from services.chassis.interceptors.call import Call

_SCHEME = "bearer "


def authenticate_with(
    verify: Callable[[str], Awaitable[Caller]],
) -> Callable[[Call], AbstractAsyncContextManager[None]]:
    """Return the interceptor that sets the caller from the bearer token. Public RPCs take no notice of tokens.

    `verify` takes a token and returns whose it is, or raises Unauthenticated.
    """

    @asynccontextmanager
    async def authenticate(call: Call) -> AsyncIterator[None]:
        if not call.access.is_public:
            authorization = call.metadata.get("authorization", "")
            if authorization[: len(_SCHEME)].lower() != _SCHEME:
                raise Unauthenticated(cause="a bearer token is needed in the header authorization")
            call.caller = await verify(authorization[len(_SCHEME) :].strip())
            structlog.contextvars.bind_contextvars(user_id=call.caller.user_id)
        callers.enter(call.caller)
        yield

    return authenticate
