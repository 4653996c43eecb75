"""Which directory the settings choose."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.chassis.resources import Resources
from services.identity.backends.argon2_password_hasher import Argon2PasswordHasher
from services.identity.backends.builtin_organizations import BuiltinOrganizations
from services.identity.backends.builtin_sessions import BuiltinSessions
from services.identity.backends.builtin_tokens import BuiltinTokens
from services.identity.backends.builtin_users import BuiltinUsers
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
    hasher: Argon2PasswordHasher

    def close(self) -> None:
        """Give back what it holds."""
        self.hasher.close()


def open_directory(
    settings: IdentitySettings, resources: Resources, work: PostgresWork, sign: SignClaims
) -> OpenDirectory:
    """Return the directory that the settings choose. Raises StartRefused for one that is not there."""
    if settings.directory != "builtin":
        raise StartRefused(cause=f"PARLEY_IDENTITY_DIRECTORY={settings.directory} is not there yet")
    shared = resources.settings
    hasher = Argon2PasswordHasher(settings.password_threads)
    tokens = BuiltinTokens(
        sign,
        shared.issuer,
        shared.audience,
        timedelta(seconds=settings.access_token_seconds),
        timedelta(seconds=settings.refresh_token_seconds),
    )
    return OpenDirectory(builtin_directory(work, hasher, tokens), hasher)


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
