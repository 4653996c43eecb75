"""Wake-ups between processes, over a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.chassis.wake_ups import WakeUps


@pytest.fixture
async def wake_ups(valkey: Redis) -> AsyncIterator[WakeUps]:
    opened = WakeUps(valkey)
    yield opened
    await opened.close()


async def _readers(valkey: Redis, channel: str) -> int:
    [(_, count)] = await valkey.pubsub_numsub(channel)
    return int(count)


async def _woken(valkey: Redis, channel: str, *events: asyncio.Event) -> None:
    """Publish until all are woken: a subscription may be a moment younger than its event."""
    async with asyncio.timeout(10):
        while not all(event.is_set() for event in events):
            await valkey.publish(channel, "")
            await asyncio.sleep(0.02)


async def test_all_who_wait_on_a_channel_are_woken_and_nobody_else(valkey: Redis, wake_ups: WakeUps) -> None:
    async with (
        wake_ups.subscribed("runs:1") as first,
        wake_ups.subscribed("runs:1") as second,
        wake_ups.subscribed("runs:2") as other,
    ):
        # What is read first wakes everybody once; from then on only what is published does.
        await _woken(valkey, "runs:2", other)
        await _woken(valkey, "runs:1", first, second)
        for event in (first, second, other):
            event.clear()
        await _woken(valkey, "runs:1", first, second)
        assert not other.is_set()


async def test_a_channel_is_left_when_the_last_one_goes(valkey: Redis, wake_ups: WakeUps) -> None:
    async with wake_ups.subscribed("runs:3") as first:
        async with wake_ups.subscribed("runs:3"):
            await _woken(valkey, "runs:3", first)
        assert await _readers(valkey, "runs:3") == 1
        first.clear()
        await _woken(valkey, "runs:3", first)
    async with asyncio.timeout(10):
        while await _readers(valkey, "runs:3"):
            await asyncio.sleep(0.02)


async def test_a_lost_connection_wakes_everybody_and_comes_back(valkey: Redis, wake_ups: WakeUps) -> None:
    async with wake_ups.subscribed("runs:4") as event:
        await _woken(valkey, "runs:4", event)
        event.clear()
        assert await valkey.client_kill_filter(_type="pubsub") >= 1
        await _woken(valkey, "runs:4", event)
        assert await _readers(valkey, "runs:4") == 1
