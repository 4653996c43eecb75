"""The realm as it should be: parley-realm.json with what the settings add to it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.keycloak.settings import KeycloakSettings

Json = dict[str, Any]
PROFILE_PROVIDER = "org.keycloak.userprofile.UserProfileProvider"
_FILE = Path(__file__).with_name("parley-realm.json")
_COLLECTIONS = ("roles", "defaultRole", "requiredActions", "clients", "components")
SERVICE_AUDIENCE = "parley-mesh"
# What the identity service may do in the realm, and nobody else's service account.
_MANAGEMENT_ROLES = {
    "identity": (
        "manage-users",
        "view-users",
        "query-users",
        "query-groups",
        "view-realm",
        "manage-realm",
        "view-events",
    ),
}


@dataclass(frozen=True, slots=True)
class Realm:
    """What there should be in the realm, in Keycloak's own representations."""

    attributes: Json
    roles: list[Json]
    default_roles: list[str]
    required_actions: list[Json]
    user_profile: Json
    clients: list[Json]
    management_roles: dict[str, tuple[str, ...]]
    """Client id -> the roles of `realm-management` that its service account has."""

    @property
    def services(self) -> list[str]:
        """The client ids of the service accounts."""
        return [client["clientId"] for client in self.clients if client["serviceAccountsEnabled"]]


def wanted_realm(settings: KeycloakSettings, capabilities: Sequence[str]) -> Realm:
    """Return the realm for these settings, with a service account for each capability."""
    written: Json = json.loads(_FILE.read_text())
    (profile,) = written["components"][PROFILE_PROVIDER]
    clients = [_told(client, settings) for client in written["clients"]]
    return Realm(
        attributes={name: value for name, value in written.items() if name not in _COLLECTIONS}
        | {"realm": settings.realm, "sslRequired": ssl_required(settings)},
        roles=written["roles"]["realm"],
        default_roles=written["defaultRole"]["composites"]["realm"],
        required_actions=written["requiredActions"],
        user_profile=json.loads(profile["config"]["kc.user.profile.config"][0]),
        clients=clients + [_service(name, settings) for name in capabilities],
        management_roles={_client_id(name): roles for name, roles in _MANAGEMENT_ROLES.items()},
    )


def ssl_required(settings: KeycloakSettings) -> str:
    """Return from whom TLS is asked, in Keycloak's word."""
    return "external" if settings.require_tls else "none"


def _told(client: Json, settings: KeycloakSettings) -> Json:
    if client["clientId"] == "parley-web":
        origins = [origin for origin in settings.web_origins.split(",") if origin]
        return client | {"redirectUris": [f"{origin}/*" for origin in origins], "webOrigins": origins}
    return client | _secret(settings.api_secret.get_secret_value())


def _service(capability: str, settings: KeycloakSettings) -> Json:
    secret = settings.service_client_secrets.get(capability)
    config = {
        "included.custom.audience": SERVICE_AUDIENCE,
        "access.token.claim": "true",
        "id.token.claim": "false",
        "introspection.token.claim": "true",
    }
    mapper = {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": config,
    }
    return {
        "clientId": _client_id(capability),
        "name": f"Parley's {capability}",
        "description": f"The service {capability}, when it calls other services.",
        "enabled": True,
        "protocol": "openid-connect",
        "publicClient": False,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": True,
        "redirectUris": [],
        "webOrigins": [],
        # A stolen token is of use for five minutes, as with the services' own tokens.
        "attributes": {"access.token.lifespan": "300"},
        "protocolMappers": [mapper],
    } | _secret(secret.get_secret_value() if secret else "")


def _client_id(capability: str) -> str:
    return f"parley-{capability}"


def _secret(value: str) -> Json:
    # Without one Keycloak makes its own, and we leave it alone.
    return {"secret": value} if value else {}
