"""Passwords of stores and brokers come from the secret store, and each new connection has the one of now."""

import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest
from aiormq.exceptions import AMQPConnectionError
from dramatiq.errors import BrokerConnectionError
from pika.exceptions import AMQPConnectionError as PikaConnectionError
from pydantic import SecretStr
from redis.exceptions import RedisError

from services.chassis.addresses import LiveUrl, current, with_password
from services.chassis.jobs import make_broker
from services.chassis.rabbitmq import connect
from services.chassis.resources import open_valkey
from services.chassis.secret_stores.vault import VaultSecrets
from services.chassis.secrets import FixedSecret, SecretMissing, SecretStore
from services.chassis.settings import ChassisSettings
from services.chassis.stored_settings import completed, owner_url
from tests.acceptance.secrets.conftest import Put, open_session
from tests.support.brokers import running_rabbitmq, running_valkey_broker
from tests.support.running_vault import RunningVault

_ODD = "p@ss:w/rd %?#[ä"
_HOUSE = "the house's own secret, long enough for it"


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A real server that wants a password."""

    bare: str
    secret: str
    password: str
    try_out: tuple[Callable[[LiveUrl], Awaitable[None]], ...]
    """Each opens new connections by one of our clients."""


async def _ping_valkey(url: LiveUrl) -> None:
    client = open_valkey(url)
    try:
        await client.ping()
    finally:
        await client.aclose()


async def _enqueue(url: LiveUrl) -> None:
    broker = make_broker(url)
    try:
        broker.declare_queue(f"trial-{uuid4().hex[:8]}")
        broker.join(queue_name=next(iter(broker.get_declared_queues())), timeout=2000)
    finally:
        broker.close()


async def _connect_to_rabbitmq(url: LiveUrl) -> None:
    async with await connect(url):
        pass


@pytest.fixture(scope="module", params=["valkey", "rabbitmq"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Valkey and RabbitMQ as the launcher starts them."""
    folder = tmp_path_factory.mktemp(request.param)
    running = running_valkey_broker if request.param == "valkey" else running_rabbitmq
    with running(folder) as broker:
        parts = urlsplit(broker.url)
        bare = broker.url.replace(f":{parts.password}@", "@").replace("redis://@", "redis://default@")
        tries = (_ping_valkey, _enqueue) if request.param == "valkey" else (_connect_to_rabbitmq, _enqueue)
        yield Server(bare, f"shared/{request.param}-password", str(parts.password), tries)


async def test_each_new_connection_has_the_password_of_now(
    server: Server, store_and_put: tuple[SecretStore, Put]
) -> None:
    store, put = store_and_put
    await put(server.secret, "not this one")
    settings = ChassisSettings(secret=SecretStr(_HOUSE), broker_url=SecretStr(server.bare))
    url = (await completed(settings, store, in_vault=False)).jobs_url
    assert isinstance(url, LiveUrl)
    for attempt in server.try_out:
        with pytest.raises((AMQPConnectionError, BrokerConnectionError, PikaConnectionError, RedisError)):
            await attempt(url)
    await put(server.secret, server.password)
    await store.refresh(server.secret)
    for attempt in server.try_out:
        await attempt(url)
    assert server.password not in f"{url} {url!r} {settings!r}"


async def test_the_houses_secret_comes_from_vault(store_and_put: tuple[SecretStore, Put]) -> None:
    store, put = store_and_put
    await put("shared/secret", _HOUSE)
    assert (await completed(ChassisSettings(), store, in_vault=True)).secret.get_secret_value() == _HOUSE
    theirs = ChassisSettings(secret=SecretStr("what is set wins"))
    assert (await completed(theirs, store, in_vault=True)).secret.get_secret_value() == "what is set wins"


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
async def test_a_password_that_is_needed_and_missing_is_named(scheme: str, tmp_path: Path) -> None:
    nothing = SecretStore(_Nothing(), 1.0)
    settings = ChassisSettings(secret=SecretStr(_HOUSE), broker_url=SecretStr(f"{scheme}://somebody@nowhere.test"))
    with pytest.raises(SecretMissing, match=r"shared/(valkey|rabbitmq)-password"):
        await completed(settings, nothing, in_vault=False)


@pytest.mark.parametrize(
    "url", ["redis://valkey:6379/0", "redis://:theirs@valkey/0", "amqp://a:b@rabbit/", "", "kafka://k"]
)
async def test_a_url_that_needs_nothing_stays_as_it_is(url: str) -> None:
    settings = ChassisSettings(secret=SecretStr(_HOUSE), valkey_url=SecretStr(url), broker_url=SecretStr(url))
    assert await completed(settings, SecretStore(_Nothing(), 1.0), in_vault=False) == settings


async def test_the_owner_of_the_schemas_has_a_password_where_one_is_set(vault: RunningVault) -> None:
    vault.operator().secrets.kv.v2.create_or_update_secret("migrations/database-password", {"value": _ODD})
    session = open_session(vault, "migrate")
    store = SecretStore(VaultSecrets(session), 1.0)
    bare = "postgresql+asyncpg://parley@db:5432/parley?ssl=disable"
    url = current(await owner_url(ChassisSettings(database_url=SecretStr(bare)), store))
    assert unquote(str(urlsplit(url).password)) == _ODD
    assert url.endswith("@db:5432/parley?ssl=disable")
    await session.close()
    trusted = ChassisSettings(database_url=SecretStr(bare))
    assert current(await owner_url(trusted, SecretStore(_Nothing(), 1.0))) == bare


def test_passwords_are_quoted() -> None:
    for bare in ("amqp://parley@rabbit:5672/", "redis://default@[::1]:6379/0", "postgresql+asyncpg://a%40b@db/x?y=z"):
        parts = urlsplit(with_password(bare, _ODD))
        before = urlsplit(bare)
        assert unquote(str(parts.password)) == _ODD
        assert parts._replace(netloc="") == before._replace(netloc="")
        assert (parts.username, parts.hostname, parts.port) == (before.username, before.hostname, before.port)
    assert _ODD not in repr(LiveUrl("amqp://parley@rabbit/", FixedSecret(_ODD)))


class _Nothing:
    """A source that has no secret."""

    async def read(self, name: str) -> SecretStr:
        """See SecretSource."""
        raise SecretMissing(name=name)
