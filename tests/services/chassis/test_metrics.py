"""The figures of a process, as Prometheus reads them."""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import ExitStack

import pytest

from services.chassis import metrics
from tests.services.chassis.trial import SERVICE, SHAPES, running_trial
from tests.support.scrapes import Scrape, scraped
from tests.support.stores import free_port

_WAITING = metrics.Gauge("trial_waiting", "What waits.", ("kind",))
_CALLS = "rpc_server_call_duration_seconds_count"


async def _told(*looks: metrics.Look) -> Scrape:
    port = free_port()
    with ExitStack() as stack:
        for look in looks:
            stack.enter_context(metrics.looking(look))
        async with metrics.exposed(f"127.0.0.1:{port}"):
            return await scraped(port)


async def _two() -> Iterable[metrics.Figure]:
    return [metrics.Figure(_WAITING, (kind,), 2.0) for kind in ("left", "right")]


async def _one() -> Iterable[metrics.Figure]:
    return [metrics.Figure(_WAITING, ("middle",), 1.0)]


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_call_is_counted_and_timed_by_its_status(shape: str) -> None:
    before = await _told()
    async with running_trial() as trial:
        await trial.call(shape, "bread")
        await trial.failure(shape, "expected")
        await trial.failure(shape, "bread", token="stranger")
        call = trial.start(shape, "hang")
        await trial.servicer.hanging.wait()
        call.cancel()
        await trial.servicer.released.wait()
    after = await _told()
    method = f"{SERVICE}/{shape}"
    for status in ("OK", "FAILED_PRECONDITION", "UNAUTHENTICATED", "CANCELLED"):
        labels = {"rpc_method": method, "rpc_response_status_code": status}
        assert after.value(_CALLS, **labels) - before.value(_CALLS, **labels) == 1
    assert after.value(_CALLS, rpc_method=method) - before.value(_CALLS, rpc_method=method) == 4


async def test_gauges_are_looked_up_at_each_scrape() -> None:
    told = await _told(_two, _one)
    assert {series.labels["kind"]: series.value for series in told.families["trial_waiting"].samples} == {
        "left": 2.0,
        "middle": 1.0,
        "right": 2.0,
    }


async def test_a_store_that_is_away_hides_its_own_figures_only() -> None:
    async def away() -> Iterable[metrics.Figure]:
        raise ConnectionError("no such store")

    async def silent() -> Iterable[metrics.Figure]:
        await asyncio.Event().wait()
        return []

    told = await _told(away, silent, _one)
    assert told.value("trial_waiting") == 1.0
    assert "rpc_server_call_duration_seconds" in told.families


async def test_nothing_listens_unless_it_is_asked_for() -> None:
    async with metrics.exposed(""):
        pass


async def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(metrics.CannotExpose, match=listen):
            async with metrics.exposed(listen):
                pass


async def test_the_address_is_free_again_afterwards() -> None:
    listen = f"127.0.0.1:{free_port()}"
    for _ in range(2):
        async with metrics.exposed(listen):
            pass
