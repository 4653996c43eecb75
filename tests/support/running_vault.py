"""A real OpenBao for tests, on a PostgreSQL of its own, as the launcher's part starts it."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import hvac

from deploy.local.child import group_of
from deploy.local.folders import make_folders
from deploy.local.part import Part
from deploy.local.postgres import postgres_part
from deploy.vault.hand_over import hand_over
from deploy.vault.part import Vault
from deploy.vault.roles import roles
from deploy.vault.setup import DatabaseAdmin, Lifetimes, make_hand_over, set_up
from services.registry import CAPABILITIES as _REGISTRY
from tests.support.polling import until
from tests.support.stores import free_port

CAPABILITIES = tuple(_REGISTRY)


@dataclass
class RunningVault:
    """A Vault that was set up, its operator, and the PostgreSQL under it."""

    vault: Vault
    server: "Server"
    database: str
    """SQLAlchemy URL of the owner on the database `parley`."""

    def operator(self) -> hvac.Client:
        """Return a client with the operator's token."""
        client = hvac.Client(url=self.vault.url)
        password = Path(self.vault.places.operator_password).read_text()
        until(lambda: _logs_in(client, password), seconds=20, what="the operator's login")
        return client

    def set_up(self, lifetimes: Lifetimes | None = None) -> None:
        """Set everything up, again when it was."""
        password = (self.vault.folders.secrets / "vault-database-password").read_text()
        place = f"127.0.0.1:{self.vault.ports['postgres']}/parley"
        admin = DatabaseAdmin(place=place, user="vault_database", password=password)
        set_up(self.operator(), CAPABILITIES, admin, lifetimes or Lifetimes())
        make_hand_over(self.operator(), self._hand_over_password())

    def hand_over(self) -> None:
        """Lay the logins that are missing, as who may do that and nothing else."""
        client = hvac.Client(url=self.vault.url)
        client.auth.userpass.login("hand-over", self._hand_over_password())
        hand_over(client, self.vault.folder, [role.name for role in roles(CAPABILITIES)])

    def _hand_over_password(self) -> str:
        return (self.vault.folders.secrets / "vault-hand-over-password").read_text()


class Server:
    """The process of a part, which a test may kill and start again."""

    def __init__(self, part: Part, log: Path) -> None:
        self._part = part
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._part.argv,
                env=dict(self._part.env),
                stdout=log,
                stderr=log,
                user=self._part.user,
                group=group_of(self._part.user),
                extra_groups=[] if self._part.user else None,
            )
        probe = self._part.ready
        assert probe is not None
        until(lambda: asyncio.run(_asked(probe)), seconds=30, what=self._part.title)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(self._part.stop_signal)
            self._process.wait(20)


@contextmanager
def running_vault(lifetimes: Lifetimes | None = None) -> Iterator[RunningVault]:
    """Start PostgreSQL and OpenBao, set both up, and yield them."""
    with TemporaryDirectory(prefix="parley-vault-") as home:
        Path(home).chmod(0o711)
        folders = make_folders(Path(home))
        ports = {"vault": free_port(), "postgres": free_port()}
        stores = postgres_part(folders, ports["postgres"], {})
        _prepare(stores)
        postgres = Server(stores, folders.log("postgres"))
        postgres.start()
        vault = Vault(folders, ports, CAPABILITIES)
        part = vault.part()
        try:
            _prepare(part)
            bao = Server(part, folders.log("vault"))
            bao.start()
            try:
                password = (folders.secrets / "postgres-password").read_text()
                place = f"127.0.0.1:{ports['postgres']}"
                running = RunningVault(vault, bao, f"postgresql+asyncpg://parley:{password}@{place}/parley?ssl=disable")
                running.set_up(lifetimes)
                running.hand_over()
                yield running
            finally:
                bao.stop()
        finally:
            postgres.stop()


def _prepare(part: Part) -> None:
    assert part.prepare is not None
    asyncio.run(part.prepare())  # type: ignore[arg-type]


async def _asked(probe: object) -> bool:
    return bool(await probe())  # type: ignore[operator]


def _logs_in(client: hvac.Client, password: str) -> bool:
    try:
        client.auth.userpass.login("operator", password)
    except hvac.exceptions.VaultError:
        return False
    return True
