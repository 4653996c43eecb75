"""Logs every RPC once, when it has ended."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from services.chassis import logs
from services.chassis.interceptors.call import Call

_log = logs.get(__name__)
_QUIET = "/grpc."
_OK = (grpc.StatusCode.OK, 0, None)


@asynccontextmanager
async def log_call(call: Call) -> AsyncIterator[None]:
    """Log method, status, time and caller. Health checks and reflection are logged at debug level."""
    started = time.perf_counter()
    gone = False
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        # The client went away or its deadline passed: grpc.aio tells so only by cancelling, and sets no code.
        gone = True
        raise
    finally:
        code = grpc.StatusCode.CANCELLED if gone else call.context.code()
        level = _log.debug if call.method.startswith(_QUIET) else _log.info
        level(
            "rpc",
            method=call.method,
            code="OK" if code in _OK else getattr(code, "name", str(code)),
            ms=round((time.perf_counter() - started) * 1000, 1),
            user_id=call.caller.user_id,
            service=call.caller.service,
        )
