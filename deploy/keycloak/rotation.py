"""`parley identity rotate-keys`: a new signing key, without a refused token."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from keycloak import KeycloakAdmin
from keycloak.exceptions import KeycloakError

from deploy.keycloak.settings import settings_with
from deploy.keycloak.sync import administration

_KEYS = "org.keycloak.keys.KeyProvider"
_STEP = 10


def main(wait: float, secrets: Mapping[str, str]) -> int:
    """Publish a new key, wait until every verifier has it, then sign with it; print what is done.

    `wait` are the seconds in between: longer than Envoy and the services keep the keys. `secrets` are those of the
    secret store. Returns the exit code.
    """
    settings = settings_with(secrets)
    if not settings.url:
        sys.stderr.write("parley identity rotate-keys: PARLEY_KEYCLOAK_URL is not set\n")
        return 2
    try:
        _rotate(administration(settings, settings.realm), settings.realm, wait)
    except KeycloakError as error:
        sys.stderr.write(f"parley identity rotate-keys: {error}\n")
        return 2
    return 0


def _rotate(admin: KeycloakAdmin, realm: str, wait: float) -> None:
    realm_id = admin.get_realm(realm)["id"]
    present = admin.get_components({"parent": realm_id, "type": _KEYS})
    priority = max(int(key.get("config", {}).get("priority", ["0"])[0]) for key in present) + _STEP
    key: dict[str, Any] = {
        "name": f"rsa-{priority}",
        "providerId": "rsa-generated",
        "providerType": _KEYS,
        "parentId": realm_id,
        # Enabled and not active: published, and nothing is signed with it yet.
        "config": {"priority": [str(priority)], "enabled": ["true"], "active": ["false"], "algorithm": ["RS256"]},
    }
    key_id = admin.create_component(key)
    sys.stdout.write(f"A new key is published; it signs in {wait:g} s.\n")
    sys.stdout.flush()
    time.sleep(wait)
    made = admin.get_component(key_id)
    admin.update_component(key_id, made | {"config": made["config"] | {"active": ["true"]}})
    sys.stdout.write("The new key signs; the old ones still check what they signed.\n")
