"""A real OpenBao on a PostgreSQL of its own, for all tests of this folder."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from services.chassis.secret_stores.environment import EnvironmentSecrets, variable_of
from services.chassis.secret_stores.vault import VaultSecrets
from services.chassis.secrets import SecretStore
from services.chassis.vault import VaultSession
from tests.support.running_vault import RunningVault, running_vault

Put = Callable[[str, str], Awaitable[None]]


@pytest.fixture(scope="session")
def vault() -> Iterator[RunningVault]:
    """The Vault, set up."""
    with running_vault() as running:
        yield running


@pytest.fixture
async def session(vault: RunningVault) -> AsyncIterator[VaultSession]:
    """A session of the role `services`."""
    session = open_session(vault, "services")
    yield session
    await session.close()


@pytest.fixture(params=["environment", "vault"])
async def store_and_put(
    request: pytest.FixtureRequest, vault: RunningVault, session: VaultSession, tmp_path: Path
) -> AsyncIterator[tuple[SecretStore, Put]]:
    """A store that looks every 0.05 s, and how its operators set a secret."""
    if request.param == "environment":
        file = tmp_path / ".env"
        lines: dict[str, str] = {}

        async def put(name: str, value: str) -> None:
            lines[variable_of(name)] = value
            file.write_text("".join(f"{key}={text}\n" for key, text in lines.items()))

        yield SecretStore(EnvironmentSecrets(file), 0.05), put
        return
    operator = vault.operator()

    async def put_in_vault(name: str, value: str) -> None:
        await asyncio.to_thread(operator.secrets.kv.v2.create_or_update_secret, name, {"value": value})

    yield SecretStore(VaultSecrets(session), 0.05), put_in_vault


def open_session(vault: RunningVault, role: str) -> VaultSession:
    """Lay what logins are missing and return a session of a role."""
    vault.hand_over()
    return VaultSession(vault.vault.url, vault.vault.folder / role)
