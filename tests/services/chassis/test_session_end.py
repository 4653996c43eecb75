"""Streams end with the session they were opened in."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.services.chassis.trial import Order, Trial, running_trial


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    async with running_trial() as running:
        yield running


async def ended(call: Any) -> grpc.aio.AioRpcError:
    """Read until the call fails, and return how."""
    async with asyncio.timeout(10):
        while True:
            try:
                assert await call.read() is not grpc.aio.EOF
            except grpc.aio.AioRpcError as error:
                return error


def unauthenticated(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.UNAUTHENTICATED and "the session has ended" in (error.details() or "")


async def test_a_stream_that_waits_ends_at_once(trial: Trial) -> None:
    call = trial.start("Down", "wait")
    await call.read()
    await trial.servicer.hanging.wait()
    await trial.announce("other")
    await trial.announce("s")
    assert unauthenticated(await ended(call))
    assert trial.servicer.released.is_set()


async def test_a_stream_whose_client_does_not_read_ends_too(trial: Trial) -> None:
    call = trial.start("Down", "flood")
    await call.read()
    await trial.announce("s")
    assert unauthenticated(await ended(call))


async def test_a_stream_both_ways_ends(trial: Trial) -> None:
    open_end = asyncio.Event()

    async def orders() -> AsyncIterator[bytes]:
        yield Order(item="first").SerializeToString()
        await open_end.wait()

    opened: Any = trial.channel.stream_stream("/chassis.trial.v1.Trial/Both", response_deserializer=Order.FromString)
    call = opened(orders(), metadata=(("authorization", "Bearer ann"),))
    await call.read()
    await trial.announce("s")
    assert unauthenticated(await ended(call))


async def test_an_upload_ends(trial: Trial) -> None:
    call = trial.start("Up", "hang")
    await trial.servicer.hanging.wait()
    await trial.announce("s")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert unauthenticated(raised.value)


async def test_announcements_that_were_missed_count(trial: Trial) -> None:
    call = trial.start("Down", "wait")
    await call.read()
    await trial.servicer.hanging.wait()
    trial.servicer.ended.append("s")
    await trial.announce(None)
    assert unauthenticated(await ended(call))


async def test_a_session_that_ended_before_anybody_watched_opens_no_stream(trial: Trial) -> None:
    trial.servicer.ended.append("s")
    error = await trial.failure("Down", "bread")
    assert unauthenticated(error)
    assert trial.servicer.seen == []


async def test_a_call_of_one_answer_and_other_sessions_go_on(trial: Trial) -> None:
    call = trial.start("Unary", "hang")
    service = trial.start("Down", "bread", token="worker")
    await trial.servicer.hanging.wait()
    await trial.announce("s")
    assert not call.done()
    call.cancel()
    assert (await trial.failure("Down", "bread", token="worker")).code() is grpc.StatusCode.PERMISSION_DENIED
    service.cancel()
