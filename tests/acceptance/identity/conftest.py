"""The backends that share a suite, and what the tests put into them."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.chassis.secrets import FixedSecret
from services.identity.backends.argon2_password_hasher import Argon2PasswordHasher
from services.identity.backends.builtin_tokens import BuiltinTokens
from services.identity.backends.directory_key_store import DirectoryKeyStore
from services.identity.backends.keycloak_directory import keycloak_directory
from services.identity.backends.keycloak_realm import KeycloakRealm
from services.identity.backends.postgres_transactions import PostgresTransactions
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.rsa_token_signer import RsaTokenSigner
from services.identity.operations.keep_keys import KeepKeys
from services.identity.ports.directory import Directory
from services.identity.ports.stores import Transactions
from services.identity.rules.signing_keys import KeySchedule
from services.identity.rules.users import NewUser, User, new_user
from services.identity.wiring.directory import builtin_directory
from tests.services.identity.fakes import START, MemoryTransactions
from tests.support.running_keycloak import RunningKeycloak, running_keycloak

PASSWORD = "correct horse battery"


@pytest.fixture(params=["memory", "postgres"])
def transactions(request: pytest.FixtureRequest, database: Database) -> Transactions:
    """Transactions of each backend."""
    return MemoryTransactions() if request.param == "memory" else PostgresTransactions(PostgresWork(database))


@pytest.fixture
def user() -> User:
    """A user whose names nobody else has."""
    return fresh_user()


def fresh_user() -> User:
    """Return a user whose names nobody else has."""
    user_id = new_id()
    name = f"Ann-{user_id.hex}"
    return new_user(user_id, f"{name}@Example.com", name, "Ann", START, frozenset())


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKeycloak]:
    """A real Keycloak with our realm."""
    with running_keycloak(tmp_path_factory.mktemp("keycloak")) as keycloak:
        yield keycloak


@pytest.fixture(params=["builtin", "keycloak"])
async def directory(
    request: pytest.FixtureRequest, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Directory]:
    """A directory of each backend, with other people's users in it."""
    lifetimes = timedelta(minutes=30), timedelta(days=7)
    if request.param == "keycloak":
        keycloak: RunningKeycloak = request.getfixturevalue("keycloak")
        secrets = (FixedSecret(keycloak.secret(f"keycloak-client-parley-{name}")) for name in ("identity", "api"))
        realm = KeycloakRealm(keycloak.url, "parley", *secrets)
        yield keycloak_directory(realm, *lifetimes)
        await realm.close()
        return
    hasher = Argon2PasswordHasher(2, memory_kib=64, passes=1)
    folder = tmp_path_factory.mktemp("keys")
    schedule = KeySchedule(timedelta(days=30), timedelta(minutes=10), timedelta(minutes=35))
    keys = KeepKeys(DirectoryKeyStore(folder), RsaTokenSigner(), schedule, now)
    await keys.refresh()
    tokens = BuiltinTokens(keys.sign, "http://edge.test", "parley", *lifetimes)
    yield builtin_directory(PostgresWork(database), hasher, tokens)
    hasher.close()


def newcomer(**fields: str) -> NewUser:
    """Return somebody whose names nobody has yet."""
    name = f"ann-{new_id().hex}"
    return NewUser(
        email=fields.get("email", f"{name}@example.com"),
        username=fields.get("username", name),
        password=PASSWORD,
        display_name=fields.get("display_name", "Ann B."),
    )


def now() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)
