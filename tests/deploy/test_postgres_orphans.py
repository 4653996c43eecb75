"""A PostgreSQL that was killed in the middle of a long query is started again."""

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import httpx
import psutil

from tests.support.callers import edge_of, eventually
from tests.support.running_mesh import running_mesh


async def test_a_busy_server_process_of_a_killed_postgres_does_not_keep_the_next_one_from_starting(
    tmp_path: Path,
) -> None:
    with running_mesh(tmp_path) as mesh:
        password = (tmp_path / "secrets" / "postgres-password").read_text().strip()
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=mesh.port_of("postgres"),
            user="parley",
            password=password,
            database="parley",
            ssl=False,
        )
        worker = int(await connection.fetchval("SELECT pg_backend_pid()"))
        # Busy for minutes, without ever looking whether its server still lives.
        query = asyncio.create_task(connection.fetchval("SELECT count(*) FROM generate_series(1, 4000000000)"))
        await eventually(lambda: _is_busy(worker), seconds=10, what="a server process at work")
        postmaster = mesh.pid("postgres")
        os.kill(postmaster, signal.SIGKILL)
        async with edge_of(mesh.url) as edge:

            async def registered() -> bool:
                try:
                    await edge.register()
                except (AssertionError, httpx.HTTPError):
                    return False
                return True

            await eventually(registered, seconds=30, what="a house with its database again")
        assert mesh.pid("postgres") != postmaster
        assert not psutil.pid_exists(worker)
        connection.terminate()
        await asyncio.gather(query, return_exceptions=True)


async def _is_busy(pid: int) -> bool:
    # Deep in the query: while it is still being planned, it would notice the death of its server.
    return psutil.Process(pid).cpu_times().user > 0.5
