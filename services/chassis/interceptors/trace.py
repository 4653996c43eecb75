"""Goes on with the caller's trace, or begins one, so that logs, jobs and events of a request can be found together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.chassis import tracing
from services.chassis.interceptors.call import Call


@asynccontextmanager
async def continue_trace(call: Call) -> AsyncIterator[None]:
    """Take the caller's `traceparent`; a new trace, named after the request, begins when there is none that is good."""
    tracing.begin(call.metadata, call.request_id)
    yield
