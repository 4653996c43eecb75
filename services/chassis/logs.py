"""Structured logs: one JSON object a line on standard output. They hold no text of an exception: see tracebacks."""

import logging
import sys
from typing import Any

import structlog

from services.chassis import tracebacks

_PLAIN = "%(levelname)s %(name)s %(message)s"


def configure(level: str) -> None:
    """Send all logs of the process, those of libraries included, to standard output from `level` up."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _add_traceback,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_shorten)
    tracebacks.replace_hooks()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in (
        "httpx",
        "httpcore",
        "alembic.runtime.migration",
        "openai",
        "pika",
        "aiormq",
        "aio_pika",
        "aiokafka",
    ):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def configure_plain(level: int) -> None:
    """Send all logs of a process that has no structured ones to standard error, from `level` up."""
    handler = logging.StreamHandler()
    handler.addFilter(_shorten)
    handler.setFormatter(_PlainFormatter(_PLAIN))
    tracebacks.replace_hooks()
    logging.basicConfig(level=level, handlers=[handler])


class _PlainFormatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        return tracebacks.traceback_of(ei[1]) if ei[1] else ""


def _shorten(record: logging.LogRecord) -> bool:
    """Leave out what libraries would log of a value: the arguments of a job, the text of an exception."""
    if record.name == "asyncio":
        # What follows the first line shows the exceptions of tasks.
        record.msg, record.args = str(record.getMessage()).partition("\n")[0], ()
    elif isinstance(record.args, tuple):
        record.args = tuple(_short(one) for one in record.args)
    return True


def _short(value: object) -> object:
    if actor := getattr(value, "actor_name", ""):  # a job; not every process that logs knows Dramatiq
        return f"{actor} {getattr(value, 'message_id', '')}"
    return tracebacks.told(value) if isinstance(value, BaseException) else value


def _add_traceback(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    found = event.pop("exc_info", None)
    if found:
        error = (
            found if isinstance(found, BaseException) else (found if isinstance(found, tuple) else sys.exc_info())[1]
        )
        if error is not None:
            event["exception"] = tracebacks.traceback_of(error)
    return event


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module. Messages are constant texts; values go in as keyword arguments."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
