"""Ends a page of a list early, before it is larger than a gRPC client reads."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

MAX_PAGE_BYTES = 4 * 1024 * 1024 - 64 * 1024
"""What a client with gRPC's default limit of 4 MiB reads, and room for the page token."""
_ROW_OVERHEAD = 6  # the tag and the length of an element of a repeated field
_TRIES = 5


async def limited_page(serve: Callable[[Any, Any], Awaitable[Any]], request: Any, context: Any) -> Any:
    """Serve a unary RPC; where its page is too large, serve it again with as many rows as fit.

    The rows that fit are the first of the same page, so the second answer fits unless rows have grown meanwhile.
    One row is always returned. What is no list (AIP-158: `page_size`, `next_page_token`) passes as it is.
    """
    response = await serve(request, context)
    rows_field = _rows_field(response.DESCRIPTOR)
    if not rows_field or "page_size" not in request.DESCRIPTOR.fields_by_name:
        return response
    for _ in range(_TRIES):
        rows = getattr(response, rows_field)
        if len(rows) < 2 or response.ByteSize() <= MAX_PAGE_BYTES:
            break
        shorter = type(request)()
        shorter.CopyFrom(request)
        shorter.page_size = _fitting(rows)
        response = await serve(shorter, context)
    return response


@cache
def _rows_field(descriptor: Descriptor) -> str:
    if "next_page_token" not in descriptor.fields_by_name:
        return ""
    return next((field.name for field in descriptor.fields if field.is_repeated and field.message_type), "")


def _fitting(rows: list[Message]) -> int:
    """Return how many rows, at least one, make a page of MAX_PAGE_BYTES; fewer than there are."""
    left = MAX_PAGE_BYTES
    for count, row in enumerate(rows):
        left -= row.ByteSize() + _ROW_OVERHEAD
        if left < 0:
            return max(count, 1)
    return len(rows) - 1
