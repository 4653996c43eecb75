"""Tracebacks for logs: where it went wrong and of what kind it was, without what users sent.

The text of an exception often holds a value: a row in PostgreSQL's DETAIL, the input of a parser, an answer of a
provider. So it is left out, but for exceptions of which it is known that it holds none.
"""

import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType

_MOST_LINKS = 10
_MOST_CHARACTERS = 300
# Their texts name types, files and addresses.
_TELLING = (OSError, TimeoutError, AttributeError, ImportError, NameError, MemoryError, RecursionError)
_SQLSTATE, _OBJECTS = "sqlstate", ("constraint_name", "table_name", "column_name")


def told(error: BaseException) -> str:
    """Return the kind of an exception, and what else may be told of it."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return ": ".join(filter(None, (name, _words(error))))


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception and of those that led to it, the first cause first."""
    parts = [
        "Traceback (most recent call last):\n" + "".join(traceback.format_tb(one.__traceback__)) + told(one)
        for one in reversed(list(_chain(error)))
    ]
    return "\n\nwhich led to:\n\n".join(parts)


def replace_hooks() -> None:
    """Write what nobody caught in this form too, in every thread."""
    sys.excepthook = _uncaught
    threading.excepthook = lambda found: _uncaught(found.exc_type, found.exc_value, found.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, _trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        sys.stderr.write((traceback_of(error) if error else kind.__qualname__) + "\n")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen and len(seen) < _MOST_LINKS:
        seen.append(error)
        yield error
        if isinstance(error, BaseExceptionGroup) and error.exceptions:
            error = error.exceptions[0]
        else:
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _words(error: BaseException) -> str:
    if isinstance(error, _TELLING) and type(error).__module__ == "builtins":
        return " ".join(str(error).split())[:_MOST_CHARACTERS]
    if state := getattr(error, _SQLSTATE, None):
        objects = [str(value) for name in _OBJECTS if (value := getattr(error, name, None))]
        return " ".join([f"SQLSTATE {state}", *objects])
    code = getattr(error, "code", None)
    return str(code()) if callable(code) and type(error).__module__.startswith("grpc") else ""
