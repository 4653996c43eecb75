"""The parts of this service, chosen and put together. Only the files here name concrete classes."""

from datetime import timedelta

from parley.identity.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    auth_service_pb2,
    auth_service_pb2_grpc,
    discovery_service_pb2,
    discovery_service_pb2_grpc,
    organization_service_pb2,
    organization_service_pb2_grpc,
    user_admin_service_pb2,
    user_admin_service_pb2_grpc,
    user_service_pb2,
    user_service_pb2_grpc,
)

from services.chassis.jobs import open_publisher
from services.chassis.module import Module, Served
from services.chassis.outbox import Outbox
from services.chassis.resources import Resources
from services.identity.backends.directory_key_store import DirectoryKeyStore
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.rsa_token_signer import RsaTokenSigner
from services.identity.backends.tables import EVENT_OUTBOX, OUTBOX
from services.identity.jobs import EventHandlers, MailJobs
from services.identity.operations.keep_keys import KeepKeys
from services.identity.rules.signing_keys import KeySchedule
from services.identity.servicer import (
    ApiKeyServicer,
    AuditServicer,
    AuthServicer,
    DiscoveryServicer,
    OrganizationServicer,
    UserAdminServicer,
    UserServicer,
)
from services.identity.settings import IdentitySettings
from services.identity.wiring.accounts import Operations, admin_password, operations
from services.identity.wiring.directory import now, open_directory

# Tokens outlive their time by the verifiers' leeway, and clocks differ.
_KEY_MARGIN = timedelta(minutes=5)


async def assemble(resources: Resources) -> Module:
    """Return the service, ready to be served or to work."""
    shared, settings = resources.settings, IdentitySettings()
    keys = KeepKeys(DirectoryKeyStore(shared.home / "identity" / "keys"), RsaTokenSigner(), _schedule(settings), now)
    work = PostgresWork(resources.database)
    opened = await open_directory(settings, resources, work, keys.sign)
    outbox, told = Outbox(resources.database, OUTBOX), Outbox(resources.database, EVENT_OUTBOX)
    publisher = open_publisher(shared)
    ours = operations(settings, resources, work, opened.directory, outbox, told)
    listening = EventHandlers(ours.delivery).subscribe(resources.events)

    async def prepare() -> None:
        await ours.admin.make(settings.admin_email, await admin_password(settings, resources), settings.admin_username)
        await keys.refresh()

    async def relay() -> None:
        await outbox.relay(publisher.publish)

    async def tell() -> None:
        await told.relay(resources.events.publish)

    async def close() -> None:
        await publisher.close()
        await opened.close()

    return Module(
        served=_served(ours, DiscoveryServicer(shared.issuer, keys)),
        prepare=prepare,
        background=(
            keys.keep_rotating,
            ours.auth.ending.keep_tidying,
            ours.journal.keep_storing,
            relay,
            tell,
            ours.inbox.keep_pruning,
            *listening,
        ),
        register_jobs=MailJobs(ours.mails).register,
        close=close,
    )


def _served(ours: Operations, discovery: DiscoveryServicer) -> tuple[Served, ...]:
    return (
        Served(
            api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server,
            ApiKeyServicer(ours.api_keys),
            api_key_service_pb2.DESCRIPTOR.services_by_name["ApiKeyService"].full_name,
        ),
        Served(
            audit_service_pb2_grpc.add_AuditServiceServicer_to_server,
            AuditServicer(ours.audit),
            audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"].full_name,
        ),
        Served(
            auth_service_pb2_grpc.add_AuthServiceServicer_to_server,
            AuthServicer(ours.auth),
            auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name,
        ),
        Served(
            discovery_service_pb2_grpc.add_DiscoveryServiceServicer_to_server,
            discovery,
            discovery_service_pb2.DESCRIPTOR.services_by_name["DiscoveryService"].full_name,
        ),
        Served(
            organization_service_pb2_grpc.add_OrganizationServiceServicer_to_server,
            OrganizationServicer(ours.organizations),
            organization_service_pb2.DESCRIPTOR.services_by_name["OrganizationService"].full_name,
        ),
        Served(
            user_admin_service_pb2_grpc.add_UserAdminServiceServicer_to_server,
            UserAdminServicer(ours.managing),
            user_admin_service_pb2.DESCRIPTOR.services_by_name["UserAdminService"].full_name,
        ),
        Served(
            user_service_pb2_grpc.add_UserServiceServicer_to_server,
            UserServicer(ours.auth.users),
            user_service_pb2.DESCRIPTOR.services_by_name["UserService"].full_name,
        ),
    )


def _schedule(settings: IdentitySettings) -> KeySchedule:
    return KeySchedule(
        rotation=timedelta(seconds=settings.key_rotation_seconds),
        publish_ahead=timedelta(seconds=settings.key_publish_ahead_seconds),
        kept_after=timedelta(seconds=settings.access_token_seconds) + _KEY_MARGIN,
    )
