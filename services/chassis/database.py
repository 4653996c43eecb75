"""PostgreSQL: one engine a process, a transaction an operation."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from services.chassis import logs, tracebacks
from services.chassis.errors import StoreUnavailable

# A statement that waits longer than this for a lock or a result is a fault, not patience.
_SERVER_SETTINGS = {"statement_timeout": "15000", "lock_timeout": "5000", "jit": "off", "application_name": "parley"}
_GENERATION = "parley.generation"
# PostgreSQL ends our session, or takes none, because it stops, crashes or starts.
_AWAY = {"57P01", "57P02", "57P03"}
_START_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_log = logs.get(__name__)


class DatabaseRefused(Exception):
    """PostgreSQL takes no connection of ours: it has not started in time, or does not know user or database."""


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user of PostgreSQL. `generation` rises whenever they are replaced."""

    user: str
    password: str = field(repr=False)
    generation: int


class CredentialsSource(Protocol):
    """Names the user to connect as."""

    def current(self) -> Credentials:
        """Return the user to connect as now."""


class Database:
    """A pool of connections. Connections are opened when first needed, and checked before use after a restart."""

    def __init__(
        self, url: str, *, pool_size: int = 20, pool_overflow: int = 0, credentials: CredentialsSource | None = None
    ) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_overflow,
            pool_timeout=15,
            pool_pre_ping=False,
            # Those used last are used next: their statements are prepared and planned, and most load needs but a few.
            pool_use_lifo=True,
            # What users sent stays out of the texts of errors.
            hide_parameters=True,
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
            connect_args={"server_settings": _SERVER_SETTINGS, "timeout": 10},
        )
        if credentials is not None:
            _connect_as(self.engine, credentials)
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
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection on which each statement is a transaction: for reads, or a change that is one statement.

        It saves a BEGIN and a COMMIT, each a round trip.

        Raises:
            StoreUnavailable: PostgreSQL cannot be reached, or was lost on the way.
        """
        with _reachable():
            async with self._autocommit.connect() as connection:
                yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


async def until_ready(engine: AsyncEngine, seconds: float = _START_SECONDS) -> None:
    """Return once PostgreSQL takes connections: one that is still starting, or recovering, is waited for.

    Raises:
        ConnectionError: nobody listens there.
        DatabaseRefused: it is not ready in time, or refuses us.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            async with engine.connect():
                return
        except DBAPIError as error:
            is_starting = getattr(error.orig, "sqlstate", "") in _AWAY
            if not is_starting or asyncio.get_running_loop().time() > deadline:
                raise DatabaseRefused(f"PostgreSQL: {error.orig}") from error
            _log.info("waiting for PostgreSQL", cause=tracebacks.told(error.orig or error))
        await asyncio.sleep(_LOOK_SECONDS)


def _connect_as(engine: AsyncEngine, credentials: CredentialsSource) -> None:
    """Connect as whom the source names, and retire connections of those it named before when they are next wanted."""

    @event.listens_for(engine.sync_engine, "do_connect")
    def name_user(
        _dialect: Any, record: ConnectionPoolEntry | None, _arguments: Any, parameters: dict[str, Any]
    ) -> None:
        current = credentials.current()
        parameters["user"], parameters["password"] = current.user, current.password
        if record is not None:
            record.info[_GENERATION] = current.generation

    @event.listens_for(engine.sync_engine, "checkout")
    def retire(_connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        if record.info.get(_GENERATION) != credentials.current().generation:
            # The pool closes this one and opens another in its place, before anybody has used it.
            raise DisconnectionError("connected as an earlier user")


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (ConnectionError, PoolTimeoutError) as error:
        # Refused, or every connection of the pool has been taken for long.
        raise StoreUnavailable from error
    except DBAPIError as error:
        if error.connection_invalidated or getattr(error.orig, "sqlstate", "") in _AWAY:
            raise StoreUnavailable from error
        raise
