"""Runs tests of a copy of the tree, in a fork that finds the libraries imported: half of a short run is that."""

import contextlib
import importlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import pytest

from tests.mutants.mutant import ROOT

_PATIENCE_SECONDS = 600
_LIBRARIES = (
    *("aio_pika", "aiokafka", "alembic.config", "argon2", "asyncpg", "dramatiq", "fastjsonschema", "grpc.aio", "httpx"),
    *("hypothesis.strategies", "itsdangerous", "jsonschema_rs", "jwt", "orjson", "prometheus_client", "pydantic"),
    *("pydantic_settings", "redis.asyncio", "sqlalchemy.dialects.postgresql"),
    *("sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.ext.asyncio", "structlog", "yaml"),
)


# Hypothesis brings a plugin, whose assertions pytest would like to rewrite.
_OPTIONS = ("-x", "-q", "--no-header", "-W", "ignore::pytest.PytestAssertRewriteWarning")


def run(folder: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Return what pytest ends with and says; a run without an end counts as one that failed."""
    for library in _LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    said = folder / "pytest.out"
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _be_pytest(folder, tests, said)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), said.read_text(errors="replace")
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return int(pytest.ExitCode.TESTS_FAILED), "FAILED the tests did not end"


def _be_pytest(folder: Path, tests: tuple[str, ...], said: Path) -> None:
    os.setpgid(0, 0)
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.chdir(folder)
    # Before the checkout, here and in all processes that the tests start.
    paths = [str(folder), str(folder / "gen")]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    ours = ("", str(ROOT), str(ROOT / "gen"))
    sys.path[:] = [*paths, *(path for path in sys.path if path not in ours)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    code: int = 3
    try:
        code = pytest.main([*_OPTIONS, f"--basetemp={folder / '.tmp'}", *tests])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
