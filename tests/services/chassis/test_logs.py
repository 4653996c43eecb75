"""Logs say what went wrong and where, and nothing that users sent."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import dramatiq
import pytest
from sqlalchemy.exc import IntegrityError

from services.chassis import logs, tracebacks

MARKER = "marker-5d21"


class CheckViolation(Exception):
    """As asyncpg's: the whole row stands in its text."""

    sqlstate = "23514"
    constraint_name = "message_text_check"


def _sql() -> None:
    try:
        raise CheckViolation(f"DETAIL:  Failing row contains ({MARKER}).")
    except CheckViolation as error:
        raise IntegrityError(f"INSERT {MARKER}", {"text": MARKER}, error) from error


def _key() -> None:
    {}[MARKER]  # type: ignore[index]


def _group() -> None:
    raise ExceptionGroup(MARKER, [ValueError(MARKER), KeyError(MARKER)])


def _hidden() -> None:
    try:
        int(MARKER)
    except ValueError:
        raise RuntimeError(MARKER) from None


def _while_handling() -> None:
    try:
        int(MARKER)
    except ValueError:
        json.loads(f"{{{MARKER}")


@pytest.fixture
def kept() -> Iterator[None]:
    """Put back what `configure` changes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("fail", [_sql, _key, _group, _hidden, _while_handling])
def test_no_text_of_an_exception_is_logged(fail: Callable[[], None], kept: None, capsys: pytest.CaptureFixture) -> None:  # type: ignore[type-arg]
    logs.configure("info")
    try:
        fail()
    except Exception as error:
        logs.get("trial").exception("it failed", cause=tracebacks.told(error))
        logging.getLogger("library").exception("failed with %s", error)
    written = capsys.readouterr().out.splitlines()
    assert len(written) == 2
    assert MARKER not in "\n".join(written)
    for line in written:
        assert f"in {fail.__name__}" in json.loads(line)["exception"]


def test_what_kind_of_error_it_was_is_told() -> None:
    kinds: list[tuple[Callable[[], object], str]] = [
        (_sql, "sqlalchemy.exc.IntegrityError"),
        (_key, "KeyError"),
        (_hidden, "RuntimeError"),
        (Path("/nowhere/at").read_text, "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/at'"),
    ]
    for fail, told in kinds:
        with pytest.raises(Exception) as raised:  # noqa: PT011 -- of any kind
            fail()
        assert tracebacks.told(raised.value) == told
    with pytest.raises(IntegrityError) as raised_sql:
        _sql()
    assert "SQLSTATE 23514 message_text_check" in tracebacks.traceback_of(raised_sql.value)


async def test_libraries_show_no_values(kept: None, capsys: pytest.CaptureFixture) -> None:  # type: ignore[type-arg]
    logs.configure("info")
    message: dramatiq.Message[None] = dramatiq.Message("mails", "send", (MARKER,), {"to": MARKER}, {}, message_id="m-1")
    logging.getLogger("dramatiq.worker").error("Failed to process message %s with unhandled exception.", message)

    async def fail() -> None:
        raise ValueError(MARKER)

    task = asyncio.create_task(fail())
    await asyncio.wait({task})
    del task
    written = capsys.readouterr().out
    assert "send m-1" in written
    assert "never retrieved" in written
    assert MARKER not in written


def test_plain_logs_show_no_values_either(kept: None, capsys: pytest.CaptureFixture) -> None:  # type: ignore[type-arg]
    logging.getLogger().handlers[:] = []
    logs.configure_plain(logging.INFO)
    try:
        _while_handling()
    except ValueError as error:
        logging.getLogger("uvicorn.error").error("Exception in ASGI application: %s", error, exc_info=error)
    written = capsys.readouterr().err
    assert "in _while_handling" in written
    assert MARKER not in written
