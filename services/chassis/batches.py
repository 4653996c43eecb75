"""Passes on what comes from a stream without making a step of each item."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def in_batches(source: AsyncGenerator[T, None], most: int) -> AsyncGenerator[list[T], None]:
    """Yield what `source` yields, in its order, in lists of 1 to `most` items.

    Nothing is waited for: each list has what came while the one before it was dealt with. A slow stream is passed on
    item by item, a fast one in large steps. The stream is read at most `most` items ahead, and closed at the end.

    Raises what `source` raises, once all that it yielded before has been passed on.
    """
    waiting: deque[T] = deque()
    came, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async with aclosing(source):
            async for item in source:
                waiting.append(item)
                came.set()
                while len(waiting) >= most:
                    room.clear()
                    await room.wait()

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: came.set())
    try:
        while waiting or not reading.done():
            await came.wait()
            came.clear()
            if waiting:
                batch = list(waiting)
                waiting.clear()
                room.set()
                yield batch
        reading.result()
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
