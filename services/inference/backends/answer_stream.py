"""The body of a provider's answer: events or one document, whatever its header says it is."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from services.inference.backends.event_stream import MOST_EVENT_BYTES, Event, EventReader, EventTooLong

_MOST_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 0.2
_SPACE = b" \t\r\n\xef\xbb\xbf"
ENDED = Event("ended", "")
"""What stands for `[DONE]`, or for the end of a body that was ended and not cut."""


class _Document:
    """Reads a body that is JSON from its first byte on: an answer as a whole, or a chunk a line."""

    def __init__(self) -> None:
        self._whole = bytearray()

    def feed(self, piece: bytes) -> list[Event]:
        self._whole += piece
        if len(self._whole) > MOST_EVENT_BYTES:
            raise EventTooLong
        return []

    def end(self) -> list[Event]:
        return [Event("", self._whole.decode(errors="replace"))]


async def events_of(response: Any, first_seconds: float, pause: Callable[[], float]) -> AsyncGenerator[Event, None]:
    """Yield the events of a streamed response, and ENDED at last when the provider has ended it in order.

    The first may take `first_seconds`; from then on bytes may pause as long as `pause` says by then.

    Raises:
        TimeoutError: it takes too long.
        ValueError: it is too long, or neither events nor a document.
    """
    pieces: AsyncIterator[bytes] = aiter(response.iter_bytes())
    reader: EventReader | _Document | None = None
    clock = asyncio.get_running_loop().time
    deadline, has_begun, size = clock() + first_seconds, False, 0
    while True:
        try:
            async with asyncio.timeout(pause() if has_begun else deadline - clock()):
                piece = await anext(pieces)
        except StopAsyncIteration:
            break
        size += len(piece)
        if size > _MOST_BYTES:
            raise EventTooLong
        reader = reader or _reader(piece)
        for event in reader.feed(piece) if reader else ():
            has_begun = True
            if event.data.lstrip().startswith("[DONE]"):
                yield ENDED
                await _drain(pieces)
                return
            yield event
    for event in reader.end() if reader else ():
        yield event
    if "transfer-encoding" in response.headers or "content-length" in response.headers:
        yield ENDED  # had the connection been cut, reading would have failed


def _reader(beginning: bytes) -> EventReader | _Document | None:
    first = beginning.lstrip(_SPACE)[:1]
    if first == b"<":
        raise ValueError("a page, not an answer")
    if not first:
        return None
    return _Document() if first in b"{[" else EventReader()


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read what is left, so that the connection can be used again; not for long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in pieces:
                pass
