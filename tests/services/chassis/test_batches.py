"""A stream that is passed on in steps."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.batches import in_batches


async def _numbers(count: int, *, fails: bool = False) -> AsyncGenerator[int, None]:
    for number in range(count):
        yield number
    if fails:
        raise ValueError("broke off")


@given(count=st.integers(0, 40), most=st.integers(1, 10), turns=st.lists(st.integers(0, 3), max_size=10))
def test_all_of_it_comes_in_its_order_and_in_steps_that_are_not_too_large(
    count: int, most: int, turns: list[int]
) -> None:
    async def read() -> list[list[int]]:
        batches, pauses = [], iter(turns)
        async for batch in in_batches(_numbers(count), most):
            batches.append(batch)
            for _ in range(next(pauses, 0)):
                await asyncio.sleep(0)
        return batches

    batches = asyncio.run(read())
    assert [number for batch in batches for number in batch] == list(range(count))
    assert all(1 <= len(batch) <= most for batch in batches)


async def test_what_comes_slowly_is_passed_on_at_once_and_what_came_meanwhile_together() -> None:
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def source() -> AsyncGenerator[str, None]:
        while (word := await asked.get()) != "end":
            yield word

    async with aclosing(in_batches(source(), 10)) as batches:
        asked.put_nowait("one")
        assert await anext(batches) == ["one"]
        for word in ("two", "three", "end"):
            asked.put_nowait(word)
        await asyncio.sleep(0)  # the source runs on while we deal with "one"
        assert await anext(batches) == ["two", "three"]
        with pytest.raises(StopAsyncIteration):
            await anext(batches)


async def test_an_error_comes_after_all_that_came_before_it() -> None:
    seen = []

    async def read() -> None:
        async for batch in in_batches(_numbers(5, fails=True), 2):
            seen.extend(batch)

    with pytest.raises(ValueError, match="broke off"):
        await read()
    assert seen == list(range(5))


async def test_the_source_is_read_only_so_far_ahead_and_closed_when_nobody_listens() -> None:
    read, closed = [], asyncio.Event()

    async def source() -> AsyncGenerator[int, None]:
        try:
            for number in range(100):
                read.append(number)
                yield number
        finally:
            closed.set()

    async with aclosing(in_batches(source(), 4)) as batches:
        await anext(batches)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(read) <= 8
    assert closed.is_set()
