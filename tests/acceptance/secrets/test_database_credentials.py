"""Users of PostgreSQL that Vault makes and takes away, under load."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from services.chassis.database import Database
from services.chassis.database_credentials import VaultCredentials, keep_credentials
from services.chassis.migrations import check_current, migrate
from services.registry import CAPABILITIES
from tests.acceptance.secrets.conftest import open_session
from tests.support.running_vault import RunningVault

_PEOPLE = 8


@pytest.fixture
async def owner(vault: RunningVault) -> AsyncIterator[Database]:
    """The owner's connections, with every schema at its newest revision."""
    owner = Database(vault.database)
    await migrate(owner.engine, list(CAPABILITIES))
    yield owner
    await owner.close()


async def test_credentials_change_under_load_and_no_request_fails(vault: RunningVault, owner: Database) -> None:
    _shorten(vault, "services", ttl="2s", longest="4s")
    session = open_session(vault, "services")
    credentials = VaultCredentials(session, "services")
    await credentials.begin()
    keeping = asyncio.create_task(keep_credentials(credentials))
    database = Database(vault.database, pool_size=_PEOPLE // 2, credentials=credentials)
    await check_current(database.engine, list(CAPABILITIES))
    users: set[str] = set()

    async def work() -> int:
        requests = 0
        async with asyncio.timeout(60):
            while credentials.current().generation < 4:
                async with database.transaction() as connection:
                    users.add(str(await connection.scalar(text("SELECT current_user"))))
                    await connection.execute(text("SELECT count(*) FROM conversations.message"))
                requests += 1
        return requests

    # A request that fails ends the test with its exception.
    done = await asyncio.gather(*(work() for _ in range(_PEOPLE)))
    print(f"{sum(done)} transactions, {len(users)} users, 0 failed")
    assert len(users) >= 3
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await database.close()
    await session.close()
    async with asyncio.timeout(30):
        # What is not leased any more is nobody.
        while await _leased(owner):
            pass
    vault.set_up()


async def test_a_lost_login_takes_its_users_along_and_the_next_ones_are_leased(
    vault: RunningVault, owner: Database
) -> None:
    session = open_session(vault, "worker")
    credentials = VaultCredentials(session, "worker")
    await credentials.begin()
    keeping = asyncio.create_task(keep_credentials(credentials))
    database = Database(vault.database, pool_size=1, credentials=credentials)
    before = await _user(database)
    await session.call(lambda client: client.auth.token.revoke_self())
    vault.hand_over()
    await session.call(lambda client: client.auth.token.lookup_self())
    async with asyncio.timeout(20):
        while credentials.current().user == before:
            await asyncio.wait({keeping}, timeout=0.05)
    assert await _user(database) == credentials.current().user
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await database.close()
    await session.close()


async def test_a_capability_reads_its_own_schema_only(vault: RunningVault, owner: Database) -> None:
    session = open_session(vault, "identity")
    credentials = VaultCredentials(session, "identity")
    await credentials.begin()
    database = Database(vault.database, credentials=credentials)
    async with database.autocommit() as connection:
        await connection.execute(text("SELECT count(*) FROM identity.users"))
    for refused in ("SELECT text FROM conversations.message", "DROP TABLE identity.users", "CREATE TABLE public.t ()"):
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            async with database.transaction() as connection:
                await connection.execute(text(refused))
    await database.close()
    await session.close()


def _shorten(vault: RunningVault, role: str, *, ttl: str, longest: str) -> None:
    operator = vault.operator()
    kept = operator.secrets.database.read_role(role)["data"]
    operator.secrets.database.create_role(
        role,
        kept["db_name"],
        kept["creation_statements"],
        default_ttl=ttl,
        max_ttl=longest,
        revocation_statements=kept["revocation_statements"],
    )


async def _user(database: Database) -> str:
    async with database.autocommit() as connection:
        return str(await connection.scalar(text("SELECT current_user")))


async def _leased(owner: Database) -> int:
    async with owner.autocommit() as connection:
        return int(
            await connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-approle-services-%'"))
        )
