"""`parley identity sync`: brings the realm to what is written down, and tells what was different."""

import sys
from collections.abc import Mapping, Sequence

import httpx
from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakError
from pydantic import ValidationError

from deploy.keycloak.broker_parts import keep_providers
from deploy.keycloak.client_parts import keep_clients
from deploy.keycloak.differences import differences
from deploy.keycloak.ledger import Ledger
from deploy.keycloak.realm import Json, ssl_required, wanted_realm
from deploy.keycloak.realm_parts import keep_realm, keep_required_actions, keep_roles, keep_user_profile
from deploy.keycloak.settings import KeycloakSettings, settings_with


def main(capabilities: Sequence[str], secrets: Mapping[str, str], *, check: bool) -> int:
    """Apply the realm, or only tell the drift; print a line for each change. `secrets` are those of the secret store.

    Returns the exit code: 0, but 1 when a check found drift, and 2 with one line when it could not be done.
    """
    try:
        settings = settings_with(secrets)
    except ValidationError as error:
        first = error.errors()[0]
        return _refuse(f"PARLEY_KEYCLOAK_{str(first['loc'][0]).upper()}: {first['msg']}")
    if not settings.url:
        return _refuse("PARLEY_KEYCLOAK_URL is not set: there is no Keycloak to bring in order")
    ledger = Ledger(check, _say)
    try:
        synchronise(settings, capabilities, ledger)
    except (KeycloakError, httpx.HTTPError) as error:
        return _refuse(f"Keycloak at {settings.url} cannot be brought in order: {error}")
    count = len(ledger.changes)
    if not count:
        sys.stdout.write("The realm is as it should be.\n")
    elif check:
        sys.stdout.write(f"The realm has drifted: {count} differences.\n")
    return 1 if check and count else 0


def synchronise(settings: KeycloakSettings, capabilities: Sequence[str], ledger: Ledger) -> None:
    """Bring the realm to what is written down. Raises KeycloakError, or httpx.HTTPError of a brokered provider."""
    master = administration(settings, "master")
    realm = wanted_realm(settings, capabilities)
    if not keep_realm(master, realm, ledger):
        return
    admin = administration(settings, settings.realm)
    keep_roles(admin, realm, ledger)
    keep_required_actions(admin, realm, ledger)
    keep_user_profile(admin, realm, ledger)
    keep_clients(admin, realm, ledger)
    keep_providers(admin, settings, ledger)
    if settings.console_url:
        _keep_master(master, settings, ledger)
    if settings.console_password.get_secret_value():
        _keep_console_user(master, settings, ledger)


def administration(settings: KeycloakSettings, realm: str) -> KeycloakAdmin:
    """Return the administration of a realm, as the operator."""
    return KeycloakAdmin(
        connection=KeycloakOpenIDConnection(
            # Joined as URLs are: without the slash its last segment would be lost.
            server_url=settings.url.rstrip("/") + "/",
            user_realm_name="master",
            realm_name=realm,
            client_id=settings.operator_id,
            client_secret_key=settings.operator_secret.get_secret_value(),
        )
    )


def _keep_master(master: KeycloakAdmin, settings: KeycloakSettings, ledger: Ledger) -> None:
    # Its login pages would otherwise be sought at the edge, which refuses them.
    wanted: Json = {"sslRequired": ssl_required(settings), "attributes": {"frontendUrl": settings.console_url}}
    current = master.get_realm("master")
    merged = {**current, **wanted, "attributes": current.get("attributes", {}) | wanted["attributes"]}
    ledger.mend("realm master", differences(wanted, current), lambda: master.update_realm("master", merged))


def _keep_console_user(master: KeycloakAdmin, settings: KeycloakSettings, ledger: Ledger) -> None:
    name = settings.console_user
    if master.get_user_id(name):
        return

    def make() -> None:
        password = {"type": "password", "value": settings.console_password.get_secret_value(), "temporary": False}
        user = master.create_user({"username": name, "enabled": True, "credentials": [password]})
        master.assign_realm_roles(user, [master.get_realm_role("admin")])

    ledger.make(f"console user {name}", make)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _refuse(reason: str) -> int:
    sys.stderr.write(f"parley identity sync: {reason}\n")
    return 2
