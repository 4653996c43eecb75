"""Which refusals of PostgreSQL come again whenever the same words are stored."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, StatementError

from services.conversations.ports import CannotStore

# Data that cannot be held, constraints, statements, sizes, and faults within: https://www.postgresql.org/docs/current/errcodes-appendix.html
_FOR_GOOD = ("0A", "21", "22", "23", "42", "44", "54", "XX")


@contextmanager
def storing_words() -> Iterator[None]:
    """Raise CannotStore for what PostgreSQL, or the way there, will never take; let everything else pass."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise CannotStore from error
    except StatementError as error:
        if _is_for_good(error):
            raise CannotStore from error
        raise


def _is_for_good(error: StatementError) -> bool:
    if not isinstance(error, DBAPIError):
        return True  # the statement was never sent: its values cannot be written
    if error.connection_invalidated:
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    # asyncpg itself refuses a value with a DataError of its own, which has no state.
    return state.startswith(_FOR_GOOD) or isinstance(getattr(error.orig, "__cause__", None), ValueError)
