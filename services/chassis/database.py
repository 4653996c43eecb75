"""PostgreSQL: one engine a process, a transaction an operation."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.chassis.errors import StoreUnavailable

# A statement that waits longer than this for a lock or a result is a fault, not patience.
_SERVER_SETTINGS = {"statement_timeout": "15000", "lock_timeout": "5000", "jit": "off", "application_name": "parley"}
# PostgreSQL ends our session, or takes none, because it stops, crashes or starts.
_AWAY = {"57P01", "57P02", "57P03"}


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


class Database:
    """A pool of connections. Connections are opened when first needed, and checked before use after a restart."""

    def __init__(self, url: str, *, pool_size: int = 20, pool_overflow: int = 0) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_overflow,
            pool_timeout=15,
            pool_pre_ping=False,
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
            connect_args={"server_settings": _SERVER_SETTINGS, "timeout": 10},
        )
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction: it commits when the block ends, and rolls back when the block raises.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached, or was lost on the way.
        """
        with _reachable():
            async with self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection for reading: each statement stands for itself, which saves a BEGIN and a COMMIT.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached, or was lost on the way.
        """
        with _reachable():
            async with self._autocommit.connect() as connection:
                yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise StoreUnavailable from error
    except DBAPIError as error:
        if error.connection_invalidated or getattr(error.orig, "sqlstate", "") in _AWAY:
            raise StoreUnavailable from error
        raise
