"""The parts of this service, chosen and put together. The only file that names concrete classes."""

from datetime import UTC, datetime, timedelta

from parley.identity.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    discovery_service_pb2,
    discovery_service_pb2_grpc,
    user_service_pb2,
    user_service_pb2_grpc,
)

from services.chassis.module import Module, Served
from services.chassis.resources import Resources
from services.chassis.revocations import RevokedSessions
from services.identity.backends.argon2_password_hasher import Argon2PasswordHasher
from services.identity.backends.builtin_organizations import BuiltinOrganizations
from services.identity.backends.builtin_sessions import BuiltinSessions
from services.identity.backends.builtin_tokens import BuiltinTokens
from services.identity.backends.builtin_users import BuiltinUsers
from services.identity.backends.directory_key_store import DirectoryKeyStore
from services.identity.backends.postgres_transactions import PostgresTransactions
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.rsa_token_signer import RsaTokenSigner
from services.identity.backends.valkey_ended_sessions import ValkeyEndedSessions
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.keep_keys import KeepKeys
from services.identity.operations.keep_users import KeepUsers
from services.identity.operations.make_admin import MakeAdmin
from services.identity.operations.refresh_session import RefreshSession
from services.identity.operations.register_user import RegisterUser
from services.identity.operations.sign_in import SignIn
from services.identity.ports.directory import Directory
from services.identity.ports.stores import PasswordHasher
from services.identity.rules.signing_keys import KeySchedule
from services.identity.servicer import AuthServicer, DiscoveryServicer, UserServicer
from services.identity.settings import IdentitySettings

# Tokens outlive their time by the verifiers' leeway, and clocks differ.
_KEY_MARGIN = timedelta(minutes=5)


async def assemble(resources: Resources) -> Module:
    """Return the service, ready to be served."""
    shared, settings = resources.settings, IdentitySettings()
    access_lifetime = timedelta(seconds=settings.access_token_seconds)
    hasher = Argon2PasswordHasher(settings.password_threads)
    keys = KeepKeys(
        DirectoryKeyStore(shared.home / "identity" / "keys"),
        RsaTokenSigner(),
        _schedule(settings, access_lifetime),
        _now,
    )
    tokens = BuiltinTokens(
        keys.sign, shared.issuer, shared.audience, access_lifetime, timedelta(seconds=settings.refresh_token_seconds)
    )
    directory = builtin_directory(PostgresWork(resources.database), hasher, tokens)
    ended_sessions = ValkeyEndedSessions(RevokedSessions(resources.valkey), settings.access_token_seconds)
    end_sessions = EndSessions(directory.sessions, ended_sessions)
    users = KeepUsers(directory.users)
    auth = AuthServicer(
        RegisterUser(directory.users),
        SignIn(directory.sessions),
        RefreshSession(directory.sessions, ended_sessions),
        end_sessions,
        users,
    )
    admin = MakeAdmin(directory.users, strict=shared.environment != "development")

    async def prepare() -> None:
        await admin.make(settings.admin_email, settings.admin_password.get_secret_value(), settings.admin_username)
        await keys.refresh()

    async def close() -> None:
        hasher.close()

    return Module(
        served=_served(auth, UserServicer(users), DiscoveryServicer(shared.issuer, keys)),
        prepare=prepare,
        background=(keys.keep_rotating, end_sessions.keep_tidying),
        close=close,
    )


def builtin_directory(work: PostgresWork, hasher: PasswordHasher, tokens: BuiltinTokens) -> Directory:
    """Return the directory that this service keeps by itself."""
    transactions = PostgresTransactions(work)
    return Directory(
        BuiltinUsers(transactions, hasher, _now),
        BuiltinSessions(transactions, hasher, tokens, _now),
        BuiltinOrganizations(work, _now),
    )


def _served(auth: AuthServicer, users: UserServicer, discovery: DiscoveryServicer) -> tuple[Served, ...]:
    return (
        Served(
            auth_service_pb2_grpc.add_AuthServiceServicer_to_server,
            auth,
            auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name,
        ),
        Served(
            user_service_pb2_grpc.add_UserServiceServicer_to_server,
            users,
            user_service_pb2.DESCRIPTOR.services_by_name["UserService"].full_name,
        ),
        Served(
            discovery_service_pb2_grpc.add_DiscoveryServiceServicer_to_server,
            discovery,
            discovery_service_pb2.DESCRIPTOR.services_by_name["DiscoveryService"].full_name,
        ),
    )


def _schedule(settings: IdentitySettings, access_lifetime: timedelta) -> KeySchedule:
    return KeySchedule(
        rotation=timedelta(seconds=settings.key_rotation_seconds),
        publish_ahead=timedelta(seconds=settings.key_publish_ahead_seconds),
        kept_after=access_lifetime + _KEY_MARGIN,
    )


def _now() -> datetime:
    return datetime.now(UTC)
