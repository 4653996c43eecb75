"""Which directory the settings choose."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.chassis.resources import Resources
from services.chassis.settings import ChassisSettings
from services.identity.backends.argon2_password_hasher import Argon2PasswordHasher
from services.identity.backends.builtin_organizations import BuiltinOrganizations
from services.identity.backends.builtin_sessions import BuiltinSessions
from services.identity.backends.builtin_tokens import BuiltinTokens
from services.identity.backends.builtin_users import BuiltinUsers
from services.identity.backends.keycloak_directory import keycloak_directory
from services.identity.backends.keycloak_realm import KeycloakRealm
from services.identity.backends.postgres_transactions import PostgresTransactions
from services.identity.backends.postgres_work import PostgresWork
from services.identity.errors import StartRefused
from services.identity.ports.directory import Directory
from services.identity.ports.keys import SignClaims
from services.identity.ports.stores import PasswordHasher
from services.identity.settings import IdentitySettings


@dataclass(frozen=True, slots=True)
class OpenDirectory:
    """A directory, and how it is closed."""

    directory: Directory
    close: Callable[[], Awaitable[None]]
    """Gives back what it holds."""


def open_directory(
    settings: IdentitySettings, resources: Resources, work: PostgresWork, sign: SignClaims
) -> OpenDirectory:
    """Return the directory that the settings choose. Raises StartRefused when Keycloak's are not complete."""
    shared = resources.settings
    if settings.directory == "keycloak":
        return _open_keycloak(settings, shared)
    hasher = Argon2PasswordHasher(settings.password_threads)
    tokens = BuiltinTokens(
        sign,
        shared.issuer,
        shared.audience,
        timedelta(seconds=settings.access_token_seconds),
        timedelta(seconds=settings.refresh_token_seconds),
    )

    async def close() -> None:
        hasher.close()

    return OpenDirectory(builtin_directory(work, hasher, tokens), close)


def _open_keycloak(settings: IdentitySettings, shared: ChassisSettings) -> OpenDirectory:
    secret = shared.service_client_secrets.get("identity")
    if not settings.keycloak_url or secret is None or not settings.keycloak_api_secret.get_secret_value():
        needed = "PARLEY_KEYCLOAK_URL, _API_SECRET and the secret of identity in PARLEY_SERVICE_CLIENT_SECRETS"
        raise StartRefused(cause=f"PARLEY_IDENTITY_DIRECTORY=keycloak needs {needed}")
    realm = KeycloakRealm(
        settings.keycloak_url,
        settings.keycloak_realm,
        secret.get_secret_value(),
        settings.keycloak_api_secret.get_secret_value(),
    )
    lifetimes = settings.access_token_seconds, settings.refresh_token_seconds
    return OpenDirectory(keycloak_directory(realm, *(timedelta(seconds=each) for each in lifetimes)), realm.close)


def builtin_directory(work: PostgresWork, hasher: PasswordHasher, tokens: BuiltinTokens) -> Directory:
    """Return the directory that this service keeps by itself."""
    transactions = PostgresTransactions(work)
    return Directory(
        BuiltinUsers(transactions, hasher, now),
        BuiltinSessions(transactions, hasher, tokens, now),
        BuiltinOrganizations(work, now),
    )


def now() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)
