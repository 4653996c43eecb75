"""Real brokers for tests, as the launcher starts them: they can be killed, stopped and started again."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from deploy.kafka import server as kafka
from deploy.local.folders import make_folders
from deploy.local.part import Part, wait_until
from deploy.local.probes import tcp_open
from deploy.local.secrets import secret
from deploy.local.valkey import valkey_part, valkey_url
from deploy.rabbitmq.server import NAMES, USER, names_part, rabbitmq_part
from tests.support.polling import until
from tests.support.stores import free_port

_START_SECONDS = 60.0
_CACHE = Path(__file__).parents[2] / ".cache" / "parley"


class RunningBroker:
    """A broker made of parts; `url` reaches it."""

    def __init__(self, url: str, parts: Sequence[Part], folder: Path) -> None:
        self.url = url
        self._parts = parts
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        # A start goes on in its thread when the test that asked for it is over.
        self._lock = threading.RLock()
        self._is_over = False

    def start(self) -> None:
        """Start what does not run, and return once it is ready; does nothing once it was stopped for good."""
        with self._lock:
            if not self._is_over:
                self._start()

    def _start(self) -> None:
        for part in self._parts:
            if part.name in self._processes:
                continue
            if part.prepare is not None:
                _run(part.prepare())
            with (self.folder / f"{part.name}.log").open("ab") as log:
                self._processes[part.name] = subprocess.Popen(
                    part.argv, env=dict(part.env), stdout=log, stderr=log, start_new_session=True, cwd=self.folder
                )
            if part.ready is not None:
                _run(asyncio.wait_for(wait_until(part.ready), _START_SECONDS))

    async def settled(self) -> None:
        """Return once what RabbitMQ knows of new queues is on the disk.

        RabbitMQ 3.10 writes the Raft state of a new quorum queue some seconds after it was made; a queue whose state is
        lost by a kill before that has no leader for ever. It does not tell: a late write says so, or ten seconds do.
        """
        asked = time.time()
        states = list(self.folder.rglob("quorum/*/meta.dets"))
        while time.time() < asked + 10 and not any(path.stat().st_mtime > asked + 3 for path in states):
            await asyncio.sleep(0.1)

    def kill(self) -> None:
        """Kill the broker with SIGKILL and return once it is gone."""
        self._end(self._parts[-1], signal.SIGKILL)

    def pause(self) -> None:
        """Stop the broker with SIGSTOP: its connections stay, and nothing answers."""
        os.killpg(self._processes[self._parts[-1].name].pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.killpg(self._processes[self._parts[-1].name].pid, signal.SIGCONT)

    def stop(self) -> None:
        """End everything, for good."""
        with self._lock:
            self._is_over = True
            for part in reversed(self._parts):
                if part.name in self._processes:
                    self._end(part, signal.SIGKILL)

    def _end(self, part: Part, number: signal.Signals) -> None:
        process = self._processes.pop(part.name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait(20)
        until(lambda: not _group_lives(process.pid), seconds=20, what=f"the end of {part.name}")


@contextmanager
def running_valkey_broker(folder: Path) -> Iterator[RunningBroker]:
    """Start a Valkey with the launcher's configuration: what it has written survives its death."""
    folders = make_folders(folder)
    port = free_port()
    part = valkey_part(folders, port, os.environ)
    yield from _running(RunningBroker(valkey_url(folders, f"127.0.0.1:{port}"), [part], folder))


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RunningBroker]:
    """Start a RabbitMQ with the launcher's configuration."""
    folders = make_folders(folder)
    ports = {name: free_port() for name in NAMES}
    url = f"amqp://{USER}:{secret(folders.secrets, 'rabbitmq-password')}@127.0.0.1:{ports['rabbitmq']}/"
    broker = rabbitmq_part(folders, ports, os.environ)

    async def ready() -> bool:
        # The console may be there before the broker itself listens.
        return await tcp_open("127.0.0.1", ports["rabbitmq"]) and (broker.ready is None or await broker.ready())

    parts = [names_part(ports, os.environ), replace(broker, ready=ready)]
    yield from _running(RunningBroker(url, parts, folder))


@contextmanager
def running_kafka(folder: Path) -> Iterator[RunningBroker]:
    """Start a Kafka with the launcher's configuration."""
    folders = make_folders(folder)
    ports = {name: free_port() for name in kafka.NAMES}
    part = kafka.kafka_part(folders, _CACHE, ports, os.environ)
    yield from _running(RunningBroker(kafka.url(folders, ports["kafka"]), [part], folder))


def _running(broker: RunningBroker) -> Iterator[RunningBroker]:
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def _run(awaitable) -> None:  # type: ignore[no-untyped-def]
    """Run to its end beside a loop that may run in this thread already."""
    from concurrent.futures import ThreadPoolExecutor

    async def wait() -> None:
        await awaitable

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, wait()).result()


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
