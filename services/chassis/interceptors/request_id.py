"""Gives every RPC an id that its logs, its errors and its answer carry."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import structlog

from services.chassis.identifiers import new_id
from services.chassis.interceptors.call import Call

METADATA_KEY = "x-request-id"
_SAFE = re.compile(r"[A-Za-z0-9._:-]{1,128}")

current: ContextVar[str] = ContextVar("request_id", default="")


@asynccontextmanager
async def identify_request(call: Call) -> AsyncIterator[None]:
    """Take the caller's `x-request-id`, or make one, and send it back in the initial metadata."""
    given = call.metadata.get(METADATA_KEY, "")
    call.request_id = given if _SAFE.fullmatch(given) else str(new_id())
    current.set(call.request_id)
    structlog.contextvars.bind_contextvars(request_id=call.request_id)
    call.context.set_trailing_metadata(((METADATA_KEY, call.request_id),))
    yield
