"""What a process trusts others to keep for it: its secrets, its database user and its encryption keys."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.chassis.database import CredentialsSource
from services.chassis.field_encryption import FieldEncryption
from services.chassis.secret_stores.environment import EnvironmentSecrets
from services.chassis.secret_stores.settings import VaultSettings
from services.chassis.secrets import SecretStore
from services.chassis.supervision import keep_running

LOCAL_KEYS = Path("secrets") / "field-keys.json"
"""Where the local field keys lie below HOME."""
_POLL_SECONDS = 10.0


class VaultRefused(Exception):
    """The role of PARLEY_VAULT_ROLE, or its login, is not made for what is asked."""


@dataclass(frozen=True, slots=True)
class Custody:
    """The keepers of one process."""

    secrets: SecretStore
    field_encryption: Callable[[str], FieldEncryption]
    """Given the name of a capability, encrypts with its key."""
    credentials: CredentialsSource | None = None
    """Names the database user; None: the URL does."""
    mesh_certificates: Path | None = None
    """The folder of this process's certificate; None: the mesh is plain."""


def without_vault(home: Path = Path(".parley")) -> Custody:
    """Return keepers that are the environment and a file below HOME."""
    return Custody(SecretStore(EnvironmentSecrets(), _POLL_SECONDS), lambda name: _local(home, name))


@asynccontextmanager
async def open_custody(settings: VaultSettings, home: Path) -> AsyncIterator[Custody]:
    """Open the keepers and keep their leases alive meanwhile.

    Raises:
        SecretsUnavailable: Vault is away, or there is no login for this process.
        VaultRefused: Vault refuses the role its database user.
    """
    if not settings.needs_vault:
        store = SecretStore(EnvironmentSecrets(), settings.secrets_poll_seconds)
        async with _beside(store.keep_fresh):
            yield Custody(store, lambda name: _local(home, name), mesh_certificates=settings.mesh_certificates)
        return
    async with _open_vault(settings, home) as custody, _beside(custody.secrets.keep_fresh):
        yield custody


@asynccontextmanager
async def _open_vault(settings: VaultSettings, home: Path) -> AsyncIterator[Custody]:
    # hvac and requests take 20 MB, which a process without Vault does not pay.
    from hvac.exceptions import VaultError

    from services.chassis.database_credentials import VaultCredentials
    from services.chassis.field_keys.vault import VaultFieldEncryption
    from services.chassis.secret_stores.vault import VaultSecrets
    from services.chassis.vault import VaultSession

    session = VaultSession(settings.vault_url, settings.vault_login_file, settings.vault_ca)
    in_vault, poll = settings.secrets == "vault", settings.secrets_poll_seconds
    store = SecretStore(VaultSecrets(session) if in_vault else EnvironmentSecrets(), poll)
    loops: list[Callable[[], Awaitable[None]]] = [session.keep]
    credentials = None
    try:
        await session.wait_until_ready()
        if settings.database_credentials == "vault":
            credentials = VaultCredentials(session, settings.vault_role)
            try:
                await credentials.begin()
            except VaultError as error:
                raise VaultRefused(f"Vault refuses the role {settings.vault_role} a database user") from error
            loops.append(credentials.keep)

        def field_encryption(name: str) -> FieldEncryption:
            return VaultFieldEncryption(session, name) if settings.field_keys == "vault" else _local(home, name)

        async with _beside(*loops):
            yield Custody(store, field_encryption, credentials, settings.mesh_certificates)
    finally:
        await session.close()


def _local(home: Path, name: str) -> FieldEncryption:
    from services.chassis.field_keys.local import LocalFieldEncryption

    return LocalFieldEncryption(home.absolute() / LOCAL_KEYS, name)


@asynccontextmanager
async def _beside(*loops: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run loops beside the block."""
    tasks = [asyncio.create_task(keep_running(getattr(loop, "__qualname__", "loop"), loop)) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
