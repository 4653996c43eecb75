"""The profile `full`: what `parley up --profile full` starts beside the parts of every house."""

import importlib.util
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deploy.kafka import server as kafka
from deploy.kafka.distribution import libraries
from deploy.keycloak.distribution import RELATIVE_PATH
from deploy.keycloak.part import CONSOLE_USER, NAMES, REALM, Keycloak
from deploy.local.envoy import EnvoyPlaces
from deploy.local.errors import LaunchError
from deploy.local.folders import Folders
from deploy.local.part import Part, Stage
from deploy.local.postgres import bare_database_url
from deploy.local.prepare import prepare
from deploy.local.programs import STACK, install_command, missing_packages
from deploy.local.python_parts import sync_part
from deploy.local.secrets import HOUSE_SECRET, secret
from deploy.local.settings import LocalSettings
from deploy.local.valkey import PASSWORD as VALKEY_PASSWORD
from deploy.local.valkey import bare_valkey_url
from deploy.rabbitmq import server as rabbitmq
from deploy.vault.part import NAMES as VAULT_NAMES
from deploy.vault.part import Vault

FULL_NAMES = (*NAMES, *rabbitmq.NAMES, *kafka.NAMES, *VAULT_NAMES)


@dataclass(frozen=True, slots=True)
class FullProfile:
    """Keycloak, RabbitMQ, Kafka and OpenBao beside the light house. `ports` has the FULL_NAMES."""

    local: LocalSettings
    folders: Folders
    ports: Mapping[str, int]

    def __post_init__(self) -> None:
        """Raise LaunchError, with the command that installs it, when a program is missing."""
        missing = missing_packages(STACK)
        if missing:
            raise LaunchError(f"{', '.join(missing)} missing. As root: {install_command(missing)}")
        if self.local.database_url:
            raise LaunchError("PARLEY_DATABASE_URL cannot be set in the profile full: its parts share one PostgreSQL")

    @property
    def keycloak(self) -> Keycloak:
        """The Keycloak of the stack."""
        security = f"http://{self.local.security_host}:{self._security_port}"
        return Keycloak(self.folders, self.local.cache.absolute(), self.ports, self.local.edge_url, security)

    @property
    def vault(self) -> Vault:
        """The Vault of the stack."""
        return Vault(self.folders, self.ports, _capabilities())

    def settings(self, at: Mapping[str, str]) -> dict[str, str]:
        """Return what Parley's processes are told of these parts and of the stores: no password, Vault has those."""
        stores = {
            "PARLEY_DATABASE_URL": bare_database_url(at["postgres"]),
            "PARLEY_VALKEY_URL": bare_valkey_url(at["valkey"]),
            "PARLEY_BROKER_URL": rabbitmq.bare_url(self.ports["rabbitmq"]),
            "PARLEY_EVENTS_URL": kafka.bare_url(self.ports["kafka"]),
        }
        return stores | self.keycloak.settings()

    @property
    def secrets(self) -> dict[str, str]:
        """The names of the secrets that Vault has, and the files with their first values."""
        return {
            "shared/secret": HOUSE_SECRET,
            "shared/valkey-password": VALKEY_PASSWORD,
            "shared/rabbitmq-password": rabbitmq.PASSWORD,
            "shared/kafka-password": kafka.PASSWORD,
            "migrations/database-password": "postgres-password",
            **self.keycloak.secrets(_capabilities()),
        }

    def places(self, places: EnvoyPlaces) -> EnvoyPlaces:
        """Return Envoy's places with Keycloak's."""
        return replace(
            places,
            keycloak=f"127.0.0.1:{self.ports['keycloak']}",
            security=f"{self.local.security_host}:{self._security_port}",
            jwks_path=f"{RELATIVE_PATH}/realms/{REALM}/protocol/openid-connect/certs",
            certificates=str(self.vault.certificates / "envoy"),
        )

    def stages(self, migrate: Part, env: Mapping[str, str]) -> tuple[Stage, ...]:
        """Return the stages between the stores and the house."""
        sync = sync_part({**self.keycloak.operator_settings(), **env, **self.vault.login_settings("keycloak")})
        migrate = replace(migrate, env={**migrate.env, **self.vault.login_settings("migrate")})
        return (
            (rabbitmq.names_part(self.ports, os.environ), self.vault.part()),
            (
                self.keycloak.part(),
                rabbitmq.rabbitmq_part(self.folders, self.ports, os.environ),
                kafka.kafka_part(self.folders, self.local.cache.absolute(), self.ports, os.environ),
                self.vault.setup_part(self.secrets),
            ),
            (self.vault.hand_over_part(),),
            (migrate, sync, self.vault.certificates_part(env)),
        )

    def with_vault(self, house: Stage) -> Stage:
        """Return the house's parts with what each is told of Vault: its own login, and its certificate."""
        return tuple(replace(part, env={**part.env, **self._told(part.name)}) for part in house)

    def _told(self, name: str) -> dict[str, str]:
        if name == "services":
            return self.vault.settings("services")
        if name.startswith("worker"):
            return self.vault.settings("worker")
        return self.vault.mesh_settings(name) if name in ("rest", "websocket") else {}

    def preparation(self) -> tuple[str, Callable[[], Awaitable[None]]] | None:
        """Return what must be made before the first start on this machine; None when it was."""
        keycloak, cache = self.keycloak, self.local.cache.absolute()
        if keycloak.is_prepared and libraries(cache).exists():
            return None
        return "Preparing Keycloak and Kafka (about 80 s, once)", partial(prepare, cache)

    def notes(self) -> tuple[str, ...]:
        """Return where the consoles are and how to get in; the passwords themselves in development only."""
        names = ("keycloak-console-password", "rabbitmq-password", "vault-operator-password")
        passwords = {name: self.folders.secrets / name for name in names}
        shown = {name: self._shown(path) for name, path in passwords.items()}
        keycloak = f"{self.keycloak.console_url}  user {CONSOLE_USER}, {shown['keycloak-console-password']}"
        rabbit = (
            f"http://127.0.0.1:{self.ports['rabbitmq-console']}  user {rabbitmq.USER}, {shown['rabbitmq-password']}"
        )
        bao = f"{self.vault.url}/ui  user operator, {shown['vault-operator-password']}"
        return (f"Keycloak's console  {keycloak}", f"RabbitMQ's console  {rabbit}", f"OpenBao's console   {bao}")

    def _shown(self, path: Path) -> str:
        if self.local.environment == "development":
            return f"password {secret(path.parent, path.name)}"
        return f"password in {path}"

    @property
    def _security_port(self) -> int:
        return self.local.security_port or self.ports["security"]


def _capabilities() -> list[str]:
    """Return the names of the services: the folders with a wiring, found without importing any."""
    spec = importlib.util.find_spec("services")
    roots = (spec.submodule_search_locations or []) if spec else []
    # A wiring is a file or a folder of files.
    return sorted({path.parent.name for root in roots for path in Path(root).glob("*/wiring*")})
