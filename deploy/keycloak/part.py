"""Keycloak in the full profile: what the launcher starts and what Parley's processes are told of it."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deploy.keycloak.database import OPERATOR, Server, password_file, restore_database
from deploy.keycloak.distribution import RELATIVE_PATH, built_home
from deploy.keycloak.preparing import is_prepared, prepare
from deploy.keycloak.server import Places, keycloak_part, write_configuration
from deploy.keycloak.template import template_path
from deploy.local.folders import Folders
from deploy.local.part import Part
from deploy.local.postgres import find_binaries
from deploy.local.postgres_data import USER
from deploy.local.secrets import secret

REALM = "parley"
NAMES = ("keycloak", "keycloak-management", "security")
"""The ports that it needs: its own two, and the security listener's."""
CONSOLE_USER = "admin"
_DATABASE_PASSWORD = "keycloak-database-password"  # noqa: S105 -- the name of a file, as the next two
_OPERATOR_SECRET = "keycloak-operator-secret"  # noqa: S105
_CONSOLE_PASSWORD = "keycloak-console-password"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Keycloak:
    """The Keycloak of one stack."""

    folders: Folders
    cache: Path
    ports: Mapping[str, int]
    edge_url: str
    security_url: str

    @property
    def url(self) -> str:
        """Where our processes reach it, past the edge."""
        return f"http://127.0.0.1:{self.ports['keycloak']}{RELATIVE_PATH}"

    @property
    def issuer(self) -> str:
        """The `iss` of its tokens."""
        return f"{self.edge_url}{RELATIVE_PATH}/realms/{REALM}"

    @property
    def console_url(self) -> str:
        """The console of our realm, at the security listener."""
        return f"{self.security_url}{RELATIVE_PATH}/admin/master/console/#/{REALM}"

    @property
    def is_prepared(self) -> bool:
        """Whether the cache has all that a start needs."""
        return is_prepared(self.cache)

    async def prepare(self) -> None:
        """Fill the cache. Raises LaunchError."""
        await prepare(self.cache)

    def part(self) -> Part:
        """Return the process; its database is restored before its first start."""
        places = Places(self.ports["keycloak"], self.ports["keycloak-management"], self.edge_url, self.security_url)
        home, configuration = built_home(self.cache), self._configuration
        part = keycloak_part(home, places, self.ports["postgres"], configuration, os.environ)
        return replace(part, prepare=self._restore)

    def settings(self) -> dict[str, str]:
        """Return the settings of Parley's processes that make Keycloak the issuer."""
        realm = f"{self.url}/realms/{REALM}/protocol/openid-connect"
        return {
            "PARLEY_IDENTITY_DIRECTORY": "keycloak",
            "PARLEY_ISSUER": self.issuer,
            "PARLEY_JWKS_URL": f"{realm}/certs",
            "PARLEY_SERVICE_TOKEN_URL": f"{realm}/token",
            "PARLEY_KEYCLOAK_URL": self.url,
            "PARLEY_KEYCLOAK_REALM": REALM,
        }

    def secrets(self, capabilities: Sequence[str]) -> dict[str, str]:
        """Return the names of the secrets of its clients and users, and the files with their first values."""
        return {
            "identity/keycloak-api-secret": "keycloak-client-parley-api",
            "keycloak/operator-secret": _OPERATOR_SECRET,
            "keycloak/console-password": _CONSOLE_PASSWORD,
            **{f"{name}/keycloak-client-secret": f"keycloak-client-parley-{name}" for name in capabilities},
        }

    def operator_settings(self) -> dict[str, str]:
        """Return the further settings of `parley identity sync`."""
        return {
            "PARLEY_KEYCLOAK_OPERATOR_ID": OPERATOR,
            # The launcher's edge speaks plain HTTP, and calls the address of this machine an outside one.
            "PARLEY_KEYCLOAK_REQUIRE_TLS": "false",
            "PARLEY_KEYCLOAK_CONSOLE_URL": f"{self.security_url}{RELATIVE_PATH}",
            "PARLEY_KEYCLOAK_CONSOLE_USER": CONSOLE_USER,
            "PARLEY_KEYCLOAK_WEB_ORIGINS": self.edge_url,
        }

    @property
    def _configuration(self) -> Path:
        return self.folders.secrets / "keycloak.conf"

    async def _restore(self) -> None:
        keep = partial(secret, self.folders.secrets)
        await asyncio.to_thread(write_configuration, self._configuration, keep(_DATABASE_PASSWORD))
        server = Server(find_binaries(), self.ports["postgres"], USER, password_file(self.folders.secrets, USER))
        passwords = keep(_DATABASE_PASSWORD), keep(_OPERATOR_SECRET)
        await restore_database(server, template_path(self.cache), *passwords, os.environ)
