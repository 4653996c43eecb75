"""The queue of one client: bounded, in order, and patient for so long."""

import asyncio
import time

import pytest

from adapters.websocket.codes import SLOW, Disconnected
from adapters.websocket.outbox import Outbox


def _outbox(messages: int = 4, size: int = 100, seconds: float = 0.05) -> Outbox:
    return Outbox(max_messages=messages, max_bytes=size, slow_seconds=seconds)


async def test_messages_leave_in_order_and_together() -> None:
    outbox, frames = _outbox(), list[str]()

    async def send(frame: str) -> None:
        frames.append(frame)
        await asyncio.sleep(0.001)

    writing = asyncio.create_task(outbox.write_to(send))
    for number in range(50):
        await outbox.put(b"%d" % number)
    await outbox.flush()
    writing.cancel()
    assert "\n".join(frames).split("\n") == [str(number) for number in range(50)]
    assert len(frames) < 50


@pytest.mark.parametrize(("size", "many"), [(1, 4), (40, 2)])
async def test_a_full_queue_is_borne_with_for_so_long(size: int, many: int) -> None:
    outbox = _outbox()
    for _ in range(many):
        await outbox.put(b"x" * size)
    began = time.monotonic()
    with pytest.raises(Disconnected) as raised:
        await outbox.put(b"x" * size)
    assert raised.value.why == SLOW
    assert 0.04 < time.monotonic() - began < 10
    assert len(outbox) == many


async def test_a_message_larger_than_the_queue_goes_alone() -> None:
    outbox = _outbox()
    await outbox.put(b"x" * 1000)
    with pytest.raises(Disconnected):
        await outbox.put(b"y")


async def test_room_is_given_as_soon_as_there_is_some() -> None:
    outbox = _outbox(seconds=5)
    for _ in range(4):
        await outbox.put(b"x")
    waiting = asyncio.create_task(outbox.put(b"last"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    frames: list[str] = []

    async def send(frame: str) -> None:
        frames.append(frame)

    writing = asyncio.create_task(outbox.write_to(send))
    await asyncio.wait_for(waiting, 30)
    await outbox.flush()
    writing.cancel()
    assert frames == ["x\nx\nx\nx", "last"]
