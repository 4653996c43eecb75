"""Which directory the settings choose."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.chassis.resources import Resources, ServiceSecretMissing
from services.chassis.secrets import FixedSecret, LiveSecret, SecretMissing
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

_API_SECRET = "identity/keycloak-api-secret"  # noqa: S105 -- its name


@dataclass(frozen=True, slots=True)
class OpenDirectory:
    """A directory, and how it is closed."""

    directory: Directory
    close: Callable[[], Awaitable[None]]
    """Gives back what it holds."""


async def open_directory(
    settings: IdentitySettings, resources: Resources, work: PostgresWork, sign: SignClaims
) -> OpenDirectory:
    """Return the directory that the settings choose.

    Raises:
        StartRefused: Keycloak's settings are not complete.
        SecretsUnavailable: the secret store cannot be asked.
    """
    shared = resources.settings
    if settings.directory == "keycloak":
        return await _open_keycloak(settings, resources)
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


async def _open_keycloak(settings: IdentitySettings, resources: Resources) -> OpenDirectory:
    try:
        service, api = await resources.service_secret("identity"), await _api_secret(settings, resources)
    except (ServiceSecretMissing, SecretMissing) as error:
        raise StartRefused(cause=f"PARLEY_IDENTITY_DIRECTORY=keycloak: {error}") from error
    if not settings.keycloak_url:
        raise StartRefused(cause="PARLEY_IDENTITY_DIRECTORY=keycloak needs PARLEY_KEYCLOAK_URL")
    realm = KeycloakRealm(settings.keycloak_url, settings.keycloak_realm, service, api)
    lifetimes = settings.access_token_seconds, settings.refresh_token_seconds
    return OpenDirectory(keycloak_directory(realm, *(timedelta(seconds=each) for each in lifetimes)), realm.close)


async def _api_secret(settings: IdentitySettings, resources: Resources) -> LiveSecret:
    given = settings.keycloak_api_secret.get_secret_value()
    return FixedSecret(given) if given else await resources.custody.secrets.hold(_API_SECRET, polled=False)


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
