"""A real OpenBao on a PostgreSQL of its own, for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import pytest

from services.chassis.vault import VaultSession
from tests.support.running_vault import RunningVault, running_vault


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


def open_session(vault: RunningVault, role: str) -> VaultSession:
    """Lay what logins are missing and return a session of a role."""
    vault.hand_over()
    return VaultSession(vault.vault.url, vault.vault.folder / role)
