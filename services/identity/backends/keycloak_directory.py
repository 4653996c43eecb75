"""The directory that Keycloak keeps."""

from datetime import timedelta

from services.identity.backends.keycloak_organizations import KeycloakOrganizations
from services.identity.backends.keycloak_realm import KeycloakRealm
from services.identity.backends.keycloak_sessions import KeycloakSessions
from services.identity.backends.keycloak_users import KeycloakUsers
from services.identity.ports.directory import Directory


def keycloak_directory(realm: KeycloakRealm, access_lifetime: timedelta, refresh_lifetime: timedelta) -> Directory:
    """Return the directory of a realm; the lifetimes are the realm's."""
    users = KeycloakUsers(realm)
    return Directory(
        users, KeycloakSessions(realm, access_lifetime, refresh_lifetime), KeycloakOrganizations(realm, users)
    )
