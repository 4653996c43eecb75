"""Ends a stream when the session in which it was opened ends: by logout, a reset, a disabled user, a revoked key."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from services.chassis.errors import Unauthenticated
from services.chassis.interceptors.call import Call
from services.chassis.open_sessions import OpenSessions

_ENDED = "the session has ended"


def end_with_session(sessions: OpenSessions) -> Callable[[Call], AbstractAsyncContextManager[None]]:
    """Return the interceptor. Unary calls are left alone: they are over soon, and the next one is refused."""

    @asynccontextmanager
    async def end(call: Call) -> AsyncIterator[None]:
        session_id, task = call.caller.session_id, asyncio.current_task()
        if not call.is_stream or not session_id or task is None:
            yield
            return
        with sessions.watching(session_id, lambda: call.break_off(task)):
            # It may have ended after the token was checked and before anybody watched.
            if await sessions.has_ended(session_id):
                raise Unauthenticated(cause=_ENDED)
            try:
                yield
            except asyncio.CancelledError:
                if not call.is_broken_off:
                    raise
                task.uncancel()
                raise Unauthenticated(cause=_ENDED) from None

    return end
