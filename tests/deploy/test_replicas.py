"""Several hosts of a capability behind a real Envoy: one that dies, hangs or is sick is passed by."""

import asyncio
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import grpc
import httpx
import pytest
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc

from tests.deploy.running_envoy import House, plan_house, running_envoy
from tests.support.polling import until
from tests.support.stores import free_port

_ROOT = Path(__file__).parents[2]
_NAMES = ("left", "right")


@dataclass
class Replicas:
    """Two processes that serve the same, with Envoy in front of them."""

    house: House
    ports: dict[str, int]
    stub: "auth_service_pb2_grpc.AuthServiceAsyncStub"
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start one of them."""
        path = os.pathsep.join([str(_ROOT), str(_ROOT / "gen")])
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "tests.deploy.replica", str(self.ports[name]), name],
            cwd=self.house.folder,
            env=os.environ | {"PYTHONPATH": path},
        )

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send one of them a signal."""
        self.processes[name].send_signal(number)

    async def ask(self, login: str = "ada", seconds: float = 5) -> str:
        """Call through the mesh; return which replica answered, or the status."""
        try:
            response = await self.stub.Login(auth_service_pb2.LoginRequest(login=login), timeout=seconds)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return str(response.access_token)

    async def asked(self, count: int) -> set[str]:
        """Call some times, one after the other."""
        return {await self.ask() for _ in range(count)}

    async def settle(self, *names: str) -> None:
        """Wait until just these answer: what Envoy knows reaches its threads a moment later."""
        async with asyncio.timeout(120):
            while await self.asked(20) != set(names):
                pass

    def stat(self, name: str) -> int:
        """Return one of Envoy's figures of the cluster."""
        told = httpx.get(f"http://127.0.0.1:{self.house.admin}/stats?filter=^cluster.identity.{name}$", timeout=30).text
        return int(told.rpartition(":")[2] or 0)

    def wait_for(self, name: str, is_right: Callable[[int], bool]) -> None:
        """Wait until one of Envoy's figures is as wanted."""
        until(lambda: is_right(self.stat(name)), seconds=60, what=name)

    def wait_for_healthy(self, count: int) -> None:
        """Wait until Envoy knows so many of them to be well."""
        self.wait_for("membership_healthy", lambda value: value == count)


@contextmanager
def _killed_at_the_end(replicas: Replicas) -> Iterator[None]:
    try:
        yield
    finally:
        for process in replicas.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[Replicas]:
    """Both running and known to be well."""
    house, ports = plan_house(tmp_path), {name: free_port() for name in _NAMES}
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports.values())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.mesh}") as channel:
        replicas = Replicas(house, ports, auth_service_pb2_grpc.AuthServiceStub(channel))
        with _killed_at_the_end(replicas), running_envoy(house, services=hosts, max_connections=50):
            for name in _NAMES:
                replicas.start(name)
            await asyncio.to_thread(replicas.wait_for_healthy, 2)
            yield replicas


def _fewest(calls: int, chance: float) -> int:
    """Return below how many of so many fair calls one of two stays with less than a chance."""
    below, count = Fraction(0), 0
    while 2 * (below := below + Fraction(math.comb(calls, count), 2**calls)) < chance:
        count += 1
    return count


async def test_calls_are_shared(replicas: Replicas) -> None:
    await replicas.settle(*_NAMES)
    calls = 400
    # Two are drawn, and the one with fewer calls is taken: one after the other, that is a fair coin.
    fewest = _fewest(calls, 1e-9)
    assert fewest > calls * 0.3
    shares = Counter([await replicas.ask() for _ in range(calls)])
    assert set(shares) == set(_NAMES)
    assert min(shares.values()) >= fewest, shares


async def test_a_replica_that_is_killed_costs_the_call_that_was_on_its_way_at_most(replicas: Replicas) -> None:
    await replicas.settle(*_NAMES)
    replicas.signal("left", signal.SIGKILL)
    replicas.processes["left"].wait()
    answers = [await replicas.ask() for _ in range(100)]
    assert answers.count("right") >= 99
    replicas.start("left")
    await asyncio.to_thread(replicas.wait_for_healthy, 2)
    await replicas.settle(*_NAMES)


async def test_a_replica_that_hangs_is_passed_by(replicas: Replicas) -> None:
    await replicas.settle(*_NAMES)
    replicas.signal("left", signal.SIGSTOP)
    try:
        hanging = [asyncio.create_task(replicas.ask(seconds=120)) for _ in range(20)]
        # Its health is asked for; nobody has to wait for it.
        await asyncio.to_thread(replicas.wait_for_healthy, 1)
        await replicas.settle("right")
        assert await replicas.asked(100) == {"right"}
        # What hangs in it ends long before its own deadline: the connection answers no ping.
        assert set(await asyncio.gather(*hanging)) <= {"right", "UNAVAILABLE"}
    finally:
        replicas.signal("left", signal.SIGCONT)
    await asyncio.to_thread(replicas.wait_for_healthy, 2)
    await replicas.settle(*_NAMES)


async def test_a_replica_that_is_sick_is_ejected_and_taken_back_when_it_is_well(replicas: Replicas) -> None:
    sick = replicas.house.folder / "left.sick"
    await replicas.settle(*_NAMES)
    sick.touch()
    assert "UNAVAILABLE" in await replicas.asked(30)
    await asyncio.to_thread(replicas.wait_for, "outlier_detection.ejections_enforced_total", lambda value: value > 0)
    # It is tried again after 5 s, 10 s …: on a slow machine that may be in between.
    await replicas.settle("right")
    sick.unlink()
    await asyncio.to_thread(replicas.wait_for, "outlier_detection.ejections_active", lambda value: value == 0)
    await replicas.settle(*_NAMES)


async def test_more_than_a_cluster_may_be_given_is_refused_at_once(replicas: Replicas) -> None:
    waiting = [asyncio.create_task(replicas.ask("wait", seconds=120)) for _ in range(50)]
    await asyncio.to_thread(replicas.wait_for, "upstream_rq_active", lambda value: value == 50)
    # Over a connection of its own: one may not have more calls at once either.
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{replicas.house.mesh}", options=options) as channel:
        other = replace(replicas, stub=auth_service_pb2_grpc.AuthServiceStub(channel))
        assert await other.ask(seconds=120) == "UNAVAILABLE"
    assert replicas.stat("upstream_rq_active_overflow") > 0
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.to_thread(replicas.wait_for, "upstream_rq_active", lambda value: value == 0)
    assert await replicas.ask() in _NAMES
