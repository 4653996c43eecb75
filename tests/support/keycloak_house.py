"""Keycloak with its PostgreSQL and its realm, and nothing else: `python -m tests.support.keycloak_house`.

HOME, the cache and the ports come from PARLEY_* variables, as for `parley up`.
"""

import json
import os
import sys

from deploy.keycloak.part import NAMES, Keycloak
from deploy.local.folders import Folders
from deploy.local.plan import Plan
from deploy.local.ports import assign_ports
from deploy.local.postgres import postgres_part
from deploy.local.python_parts import sync_part
from deploy.local.secrets import secret
from deploy.local.settings import LocalSettings
from deploy.local.up import launch

CAPABILITIES = ("conversations", "identity", "inference")


def keycloak_of(settings: LocalSettings, folders: Folders) -> Keycloak:
    """Return the Keycloak of a HOME, its ports chosen."""
    ports = assign_ports(("postgres", *NAMES), folders.run / "ports.json", {settings.edge_port})
    security = f"http://127.0.0.1:{ports['security']}"
    return Keycloak(folders, settings.cache.absolute(), ports, settings.edge_url, security)


def plan(settings: LocalSettings, folders: Folders) -> Plan:
    """PostgreSQL, Keycloak, the realm."""
    keycloak = keycloak_of(settings, folders)
    sync = sync_part(dict(os.environ) | keycloak.operator_settings() | keycloak.settings() | _secrets(folders))
    stages = ((postgres_part(folders, keycloak.ports["postgres"], os.environ),), (keycloak.part(),), (sync,))
    return Plan(stages, preparation=("Preparing Keycloak", keycloak.prepare))


def _secrets(folders: Folders) -> dict[str, str]:
    """Return as variables what the full profile keeps in Vault."""
    clients = {name: secret(folders.secrets, f"keycloak-client-parley-{name}") for name in CAPABILITIES}
    return {
        "PARLEY_KEYCLOAK_OPERATOR_SECRET": secret(folders.secrets, "keycloak-operator-secret"),
        "PARLEY_KEYCLOAK_CONSOLE_PASSWORD": secret(folders.secrets, "keycloak-console-password"),
        "PARLEY_KEYCLOAK_API_SECRET": secret(folders.secrets, "keycloak-client-parley-api"),
        "PARLEY_SERVICE_CLIENT_SECRETS": json.dumps(clients),
    }


if __name__ == "__main__":
    sys.exit(launch(plan))
