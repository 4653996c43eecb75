"""Logs every RPC once, when it has ended."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.chassis import logs
from services.chassis.interceptors.call import GONE, QUIET, Call, status_of

_log = logs.get(__name__)


@asynccontextmanager
async def log_call(call: Call) -> AsyncIterator[None]:
    """Log method, status, time and caller. Health checks and reflection are logged at debug level."""
    started = time.perf_counter()
    gone = False
    try:
        yield
    except GONE:
        gone = True
        raise
    finally:
        level = _log.debug if call.method.startswith(QUIET) else _log.info
        level(
            "rpc",
            method=call.method,
            code=status_of(call, gone=gone),
            ms=round((time.perf_counter() - started) * 1000, 1),
            user_id=call.caller.user_id,
            service=call.caller.service,
        )
