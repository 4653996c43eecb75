"""Somebody begins large requests all the time and never ends them: others are served as fast as without him."""

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.support.callers import Edge, Person, edge_of
from tests.support.running_mesh import RunningMesh, running_mesh

ROUNDS, REQUESTS = 5, 300
# What a busy machine adds to one request now and then, whoever sends what.
SLACK_SECONDS = 0.02


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """A house of its own."""
    with running_mesh(tmp_path_factory.mktemp("long")) as mesh:
        yield mesh


@asynccontextmanager
async def sending(mesh: RunningMesh, kind: str) -> AsyncIterator[None]:
    """Let another process begin requests for the block, again and again."""
    command = [sys.executable, "-m", "tests.support.half_sent", mesh.address, kind]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            await process.stdout.readline()
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def p99(person: Person) -> float:
    """Return how long the slowest of a hundred requests takes."""
    taken = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        assert (await person.ask("GET", "/api/v1/auth/me")).status_code == 200
        taken.append(time.perf_counter() - began)
    return statistics.quantiles(taken, n=100)[98]


@pytest.mark.parametrize("kind", ["grpc", "rest", "http1"])
async def test_others_are_served_as_before(mesh: RunningMesh, kind: str) -> None:
    async with edge_of(mesh.url) as edge:
        person = await _somebody(edge)
        quiet, attacked = [], []
        for _ in range(ROUNDS):
            quiet.append(await p99(person))
            async with sending(mesh, kind):
                attacked.append(await p99(person))
    alone, beside = statistics.median(quiet), statistics.median(attacked)
    print(f"{kind}: p99 {alone * 1000:.1f} ms alone, {beside * 1000:.1f} ms beside")
    assert beside < 2 * alone + SLACK_SECONDS


async def _somebody(edge: Edge) -> Person:
    person = await edge.register()
    await p99(person)  # warm
    return person
