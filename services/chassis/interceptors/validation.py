"""Holds every request against the limits that its proto declares."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.protobuf.message import Message

from services.chassis.errors import InvalidFields
from services.chassis.field_limits import violations
from services.chassis.interceptors.call import Call


@asynccontextmanager
async def validate(call: Call) -> AsyncIterator[None]:
    """Raise InvalidFields for a request message that breaks a limit, before the servicer sees it."""
    call.request_checks.append(_check)
    yield


def _check(request: Message) -> None:
    if found := violations(request):
        raise InvalidFields(found)
