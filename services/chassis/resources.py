"""What a process opens once and its services share: the database, Valkey, the mesh channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as ValkeyConnectionError

from services.chassis.channels import open_channel
from services.chassis.database import Database
from services.chassis.pagination import PageTokens
from services.chassis.settings import ChassisSettings
from services.chassis.tokens import ServiceTokens

_MIN_SECRET_CHARACTERS = 32


class SecretTooShort(Exception):
    """PARLEY_SECRET is missing or could be guessed."""


@dataclass(frozen=True)
class Resources:
    """The shared parts of one process. Nothing here connects before it is used."""

    settings: ChassisSettings
    database: Database
    valkey: Redis
    mesh: grpc.aio.Channel
    page_tokens: PageTokens


@asynccontextmanager
async def open_resources(settings: ChassisSettings, process: str) -> AsyncIterator[Resources]:
    """Open the shared parts and close them afterwards. `process` is how the process names itself to other services.

    Raises:
        SecretTooShort: PARLEY_SECRET has fewer than 32 characters.
    """
    secret = settings.secret.get_secret_value()
    if len(secret) < _MIN_SECRET_CHARACTERS:
        raise SecretTooShort(f"PARLEY_SECRET must have at least {_MIN_SECRET_CHARACTERS} characters")
    database = Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool_size,
        pool_overflow=settings.database_pool_overflow,
    )
    valkey = open_valkey(settings.valkey_url.get_secret_value())
    mesh = open_channel(settings.direct_target or settings.mesh_target, ServiceTokens(secret, process))
    try:
        yield Resources(settings, database, valkey, mesh, PageTokens(secret))
    finally:
        await mesh.close(grace=1.0)
        await valkey.aclose()
        await database.close()


def open_valkey(url: str) -> Redis:
    """Return a pooled client that waits for a free connection and rides out a short restart of Valkey."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=64,
        timeout=5,
        socket_connect_timeout=2,
        # No time-out on single commands: redis-py would wrap each in asyncio.wait_for, which swallows cancellations on
        # Python 3.11 and makes a task of every command. What must not hang has a deadline of its own.
        socket_timeout=None,
        socket_keepalive=True,
        health_check_interval=30,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        retry_on_error=[ValkeyConnectionError],
    )
    return Redis.from_pool(pool)
