"""The figures that a process tells Prometheus: what it counts and times, and what it looks up when it is asked.

Names are those of OpenTelemetry's conventions where there are any, else begin with `parley_`. A label never holds what
users make up (ids, texts): each of its values is one of a few that are known beforehand.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.chassis import logs, tracebacks

_log = logs.get(__name__)
_LOOK_SECONDS = 2.0
# As OpenTelemetry's conventions have them for calls.
CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds: for what answers at once."""
WORK_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Seconds: for what takes its time."""

disable_created_metrics()  # type: ignore[no-untyped-call] # when each series began: twice the lines, and nobody asks
_REGISTRY = CollectorRegistry()
ProcessCollector(registry=_REGISTRY)


class CannotExpose(Exception):
    """The address of PARLEY_METRICS_LISTEN is in use or not ours."""


class Gauge(NamedTuple):
    """A figure that rises and falls, looked up at each scrape."""

    name: str
    text: str
    labels: tuple[str, ...]


class Figure(NamedTuple):
    """The value of a gauge now, for one value of each of its labels."""

    gauge: Gauge
    labels: tuple[str, ...]
    value: float


Look = Callable[[], Awaitable[Iterable[Figure]]]
"""Looks figures up; called at each scrape, and left out of it when it fails or takes more than two seconds."""
_looks: set[Look] = set()


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    """Return a new counter of this process; Prometheus adds `_total` to its name."""
    return Counter(name, text, labels, registry=_REGISTRY)


def histogram(name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = CALL_BUCKETS) -> Histogram:
    """Return a new histogram of this process."""
    return Histogram(name, text, labels, buckets=buckets, registry=_REGISTRY)


@contextmanager
def looking(look: Look) -> Iterator[None]:
    """Have figures looked up at each scrape for as long as the block runs."""
    _looks.add(look)
    try:
        yield
    finally:
        _looks.discard(look)


@asynccontextmanager
async def exposed(listen: str) -> AsyncIterator[None]:
    """Serve the figures at `http://LISTEN/metrics` for as long as the block runs; not at all when `listen` is empty.

    Raises:
        CannotExpose: the address cannot be had.
    """
    if not listen:
        yield
        return
    host, _, port = listen.rpartition(":")
    registry = CollectorRegistry()
    registry.register(_Scrape(asyncio.get_running_loop()))
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except (OSError, OverflowError, ValueError) as error:
        raise CannotExpose(f"cannot show figures on {listen}: is the port in use?") from error
    _log.info("figures", listen=listen, port=server.server_port)
    try:
        yield
    finally:
        # In a thread: it waits for the server's own, and a scrape may be waiting for this loop.
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        await asyncio.to_thread(thread.join)


class _Scrape(Collector):
    """What is told at a scrape, in a thread of the HTTP server: what was counted, and what is looked up now."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def describe(self) -> Iterable[Metric]:
        """Return nothing: else registering would look figures up."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield each figure with its series."""
        yield from _REGISTRY.collect()
        looking_up = asyncio.run_coroutine_threadsafe(_look_up(), self._loop)
        families: dict[Gauge, GaugeMetricFamily] = {}
        for (gauge, labels), value in looking_up.result(_LOOK_SECONDS * 2).items():
            family = families.setdefault(gauge, GaugeMetricFamily(gauge.name, gauge.text, labels=gauge.labels))
            family.add_metric(labels, value)
        yield from families.values()


async def _look_up() -> dict[tuple[Gauge, tuple[str, ...]], float]:
    found = await asyncio.gather(*map(_looked_up, _looks))
    # Each series once, whoever else knows it.
    return {(figure.gauge, figure.labels): figure.value for figures in found for figure in figures}


async def _looked_up(look: Look) -> Iterable[Figure]:
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return await look()
    except Exception as error:
        # A store is away: its figures are missing, the others are told.
        _log.warning("figures cannot be looked up", cause=tracebacks.told(error))
        return ()
