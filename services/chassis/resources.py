"""What a process opens once and its services share: the database, Valkey, the mesh channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import grpc
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as ValkeyConnectionError

from services.chassis.addresses import Url, valkey_options
from services.chassis.channels import open_channel
from services.chassis.client_credentials import ClientCredentials, TokenSource
from services.chassis.custody import Custody, open_custody, without_vault
from services.chassis.database import Database
from services.chassis.events.bus import EventBus
from services.chassis.events.opening import open_bus
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.jobs import open_publisher
from services.chassis.pagination import PageTokens
from services.chassis.secret_stores.settings import VaultSettings
from services.chassis.secrets import FixedSecret, LiveSecret, SecretMissing, SecretStore
from services.chassis.settings import ChassisSettings
from services.chassis.stored_settings import client_secret, completed, owner_url
from services.chassis.tokens import CLIENT_PREFIX, ServiceTokens

_MIN_SECRET_CHARACTERS = 32


class SecretTooShort(Exception):
    """PARLEY_SECRET is missing or could be guessed."""


@dataclass(frozen=True)
class Resources:
    """The shared parts of one process. Nothing here connects before it is used."""

    settings: ChassisSettings
    """With what the secret store has of them."""
    database: Database
    valkey: Redis
    mesh: grpc.aio.Channel
    page_tokens: PageTokens
    events: EventBus
    """The bus of events."""
    subscriptions: Subscriptions
    """Who listens to them."""

    custody: Custody = field(default_factory=without_vault)
    """Who keeps the secrets and the keys."""
    channels: list[grpc.aio.Channel] = field(default_factory=list)
    """Those that services opened for themselves; closed with the rest."""

    async def acting_as(self, service: str) -> "Resources":
        """Return the same with a mesh channel that carries the service's own token, whoever shares the process.

        Raises:
            ServiceSecretMissing: tokens come from the issuer, and the service has no secret to get one with.
            SecretsUnavailable: the secret store cannot be asked.
        """
        mesh = await _open_mesh(self.settings, service, self.custody)
        self.channels.append(mesh)
        return replace(self, mesh=mesh)

    async def service_secret(self, service: str) -> LiveSecret:
        """Return the secret of a service's own client at the issuer of services' tokens. Raises as `acting_as`."""
        return await _service_secret(self.settings, service, self.custody.secrets)


class ServiceSecretMissing(Exception):
    """PARLEY_SERVICE_TOKEN_URL is set, and a service has no secret to show there."""


async def _open_mesh(settings: ChassisSettings, service: str, custody: Custody) -> grpc.aio.Channel:
    tokens = await _tokens(settings, service, custody.secrets)
    return open_channel(settings.direct_target or settings.mesh_target, tokens, custody.mesh_certificates)


async def _tokens(settings: ChassisSettings, service: str, store: SecretStore) -> TokenSource:
    if not settings.service_token_url:
        return ServiceTokens(settings.secret.get_secret_value(), service)
    secret = await _service_secret(settings, service, store)
    return ClientCredentials(settings.service_token_url, f"{CLIENT_PREFIX}{service}", secret)


async def _service_secret(settings: ChassisSettings, service: str, store: SecretStore) -> LiveSecret:
    given = settings.service_client_secrets.get(service)
    if given is not None:
        return FixedSecret(given.get_secret_value())
    name = client_secret(service)
    try:
        return await store.hold(name, polled=False)
    except SecretMissing as error:
        where = f"neither PARLEY_SERVICE_CLIENT_SECRETS nor the secret {name}"
        raise ServiceSecretMissing(f"{service} has no secret for its tokens: {where} is set") from error


@asynccontextmanager
async def open_resources(
    settings: ChassisSettings, process: str, vault: VaultSettings | None = None
) -> AsyncIterator[Resources]:
    """Open the shared parts and close them afterwards. `process` is as which service the process itself calls others.

    Raises:
        SecretTooShort: PARLEY_SECRET has fewer than 32 characters.
        SecretMissing: a secret that is needed is not in the secret store.
        ServiceSecretMissing: tokens come from the issuer, and the service has no secret to get one with.
        UnknownBus: PARLEY_EVENTS_URL names no bus that there is.
        SecretsUnavailable: Vault is to be used, and is away or has no login for this process.
    """
    chosen = vault or VaultSettings()
    async with open_custody(chosen, settings.home) as custody:
        settings = await completed(settings, custody.secrets, in_vault=chosen.secrets == "vault")
        secret = settings.secret.get_secret_value()
        if len(secret) < _MIN_SECRET_CHARACTERS:
            raise SecretTooShort(f"PARLEY_SECRET must have at least {_MIN_SECRET_CHARACTERS} characters")
        database = Database(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size,
            pool_overflow=settings.database_pool_overflow,
            credentials=custody.credentials,
        )
        valkey = open_valkey(settings.valkey_url)
        subscriptions = Subscriptions(open_publisher(settings))
        events = open_bus(settings.events_url, subscriptions)
        mesh = await _open_mesh(settings, process, custody)
        resources = Resources(settings, database, valkey, mesh, PageTokens(secret), events, subscriptions, custody)
        try:
            yield resources
        finally:
            for channel in (*resources.channels, resources.mesh):
                await channel.close(grace=1.0)
            await events.close()
            await subscriptions.close()
            await valkey.aclose()
            await database.close()


@asynccontextmanager
async def open_owner(settings: ChassisSettings) -> AsyncIterator[Database]:
    """Open the database as the owner of the schemas, whom Vault's short-lived users are not. Raises as above."""
    async with open_custody(VaultSettings(database_credentials="url", field_keys="local"), settings.home) as custody:
        database = Database((await owner_url(settings, custody.secrets)).get_secret_value())
        try:
            yield database
        finally:
            await database.close()


def open_valkey(url: Url) -> Redis:
    """Return a pooled client that waits for a free connection and rides out a short restart of Valkey."""
    pool = BlockingConnectionPool.from_url(
        **valkey_options(url),
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
