"""The real PostgreSQL and Valkey as `parley up` runs them."""

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import psutil
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from tests.deploy.launched import Launched, is_gone, launched
from tests.support.polling import until


@pytest.fixture
def home() -> Iterator[Path]:
    """A HOME through which another user may pass, which pytest's own folders are not."""
    with TemporaryDirectory(prefix="parley-home-") as folder:
        yield Path(folder)


def _port(parley: Launched, part: str) -> int:
    return int(parley.parts[part]["address"].rpartition(":")[2])


def _password(home: Path, part: str) -> str:
    return (home / "secrets" / f"{part}-password").read_text()


async def _connect(parley: Launched, password: str) -> asyncpg.Connection:
    port = _port(parley, "postgres")
    return await asyncpg.connect(f"postgresql://parley:{password}@127.0.0.1:{port}/parley", timeout=5)


async def test_they_keep_their_data(home: Path) -> None:
    with launched("stores", home) as parley:
        parley.wait_up()
        connection = await _connect(parley, _password(home, "postgres"))
        await connection.execute(
            "create extension vector; create table kept (v vector(2)); insert into kept values ('[1,2]')"
        )
        settings = dict(await connection.fetch("select name, setting from pg_settings"))
        assert (settings["fsync"], settings["jit"], settings["max_connections"]) == ("on", "off", "100")
        await connection.close()
        with Redis(port=_port(parley, "valkey"), password=_password(home, "valkey")) as valkey:
            valkey.set("kept", "yes")
        # The connection that stays open must not hold the end up.
        lingering = await _connect(parley, _password(home, "postgres"))
        assert parley.end() == 0
        lingering.terminate()
    (home / "terminal").unlink()
    with launched("stores", home) as parley:
        parley.wait_up()
        connection = await _connect(parley, _password(home, "postgres"))
        assert await connection.fetchval("select v::text from kept") == "[1,2]"
        await connection.close()
        with Redis(port=_port(parley, "valkey"), password=_password(home, "valkey"), decode_responses=True) as valkey:
            assert valkey.get("kept") == "yes"


async def test_they_ask_for_their_password(home: Path) -> None:
    with launched("stores", home) as parley:
        parley.wait_up()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await _connect(parley, "guess")
        once = Retry(NoBackoff(), 0)
        with Redis(port=_port(parley, "valkey"), retry=once) as valkey, pytest.raises(AuthenticationError):
            valkey.ping()
        for part in ("postgres", "valkey"):
            assert _password(home, part) not in " ".join(psutil.Process(parley.pid(part)).cmdline())
    assert stat.S_IMODE((home / "secrets").stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (home / "secrets").iterdir())


def test_a_start_after_a_killed_supervisor_finds_the_data(home: Path) -> None:
    with launched("stores", home) as parley:
        parley.wait_up()
        with Redis(port=_port(parley, "valkey"), password=_password(home, "valkey")) as valkey:
            valkey.set("kept", "yes")
        pids = [part["pid"] for part in parley.parts.values()]
        parley.process.send_signal(signal.SIGKILL)
        parley.process.wait()
    (home / "terminal").unlink()
    with launched("stores", home) as parley:
        parley.wait_up()
        assert all(is_gone(pid) for pid in pids)
        with Redis(port=_port(parley, "valkey"), password=_password(home, "valkey"), decode_responses=True) as valkey:
            assert valkey.get("kept") == "yes"


def test_a_killed_postgres_comes_back(home: Path) -> None:
    with launched("stores", home) as parley:
        parley.wait_up()
        before = parley.pid("postgres")
        os.kill(before, signal.SIGKILL)
        parley.wait_for("PostgreSQL + pgvector (postgres) started again")
        until(lambda: parley.pid("postgres") != before, seconds=5, what="the new pid")
        kept = json.loads((home / "run" / "ports.json").read_text())
        assert _port(parley, "postgres") == kept["postgres"]


def test_an_interrupt_while_the_data_is_made_leaves_no_half_of_it(home: Path) -> None:
    with launched("stores", home) as parley:
        until((home / "postgres.new").exists, seconds=5, what="the data's beginning")
        assert parley.end() == 0
        assert "Traceback" not in parley.text
    assert not (home / "postgres").exists()
    with launched("stores", home) as parley:
        parley.wait_up()
