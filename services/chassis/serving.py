"""Builds and runs the gRPC server of a process: health, reflection, ordered shutdown."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from services.chassis import garbage, logs, metrics
from services.chassis.api_keys import PREFIX, ApiKeyVerifier
from services.chassis.caller import Caller
from services.chassis.certificates import CertificateFolder
from services.chassis.channels import MAX_MESSAGE_BYTES, MAX_METADATA_BYTES
from services.chassis.interceptors.call import InterceptorChain
from services.chassis.interceptors.chain import interceptors
from services.chassis.key_sets import RemoteKeySet
from services.chassis.memberships import Memberships
from services.chassis.mesh_tls import server_credentials
from services.chassis.method_options import access_rules
from services.chassis.module import Module
from services.chassis.open_sessions import OpenSessions
from services.chassis.resources import Resources
from services.chassis.revocations import RevokedSessions
from services.chassis.supervision import keep_running
from services.chassis.tokens import TokenVerifier

_log = logs.get(__name__)
_DRAIN_SECONDS = 5.0
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # What Envoy lets through, which the REST adapter doubles: gRPC's own limit, 8 KiB, would refuse it by chance.
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    # Of 64 KiB that are compressed come 11 MiB: nobody may make us hold more than was sent.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.so_reuseport", 0),  # a port that is in use is an error, not a silent share
    # Envoy pings every 15 s to find hosts that hang. A server that took it ill would close connections that are idle.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class CannotListen(Exception):
    """The address is in use or not ours."""


async def serve(modules: Sequence[Module], resources: Resources) -> None:
    """Serve the modules until SIGTERM or SIGINT, then let running calls end for at most 5 s.

    Raises:
        AccessRuleMissing: an RPC has no access rule.
        CannotListen: the address of PARLEY_SERVE_LISTEN cannot be had.
        CannotExpose: the address of PARLEY_METRICS_LISTEN cannot be had.
        CertificateMissing: the mesh is to be mTLS, and there is no certificate.
    """
    revoked = RevokedSessions(resources.valkey)
    sessions = OpenSessions(revoked.ended_among)
    server, health_servicer, names = build_server(modules, resources, sessions)
    listen = resources.settings.serve_listen
    certificates = resources.custody.mesh_certificates
    try:
        if certificates is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, server_credentials(CertificateFolder(certificates)))
    except RuntimeError as error:
        raise CannotListen(f"cannot listen on {listen}: is the port in use?") from error
    for module in modules:
        await module.prepare()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def end_streams() -> None:
        await sessions.follow(revoked.announcements())

    loops = [end_streams, *(loop for module in modules for loop in module.background)]
    async with metrics.exposed(resources.settings.metrics_listen), _background(loops):
        await server.start()
        for name in ("", *names):
            await health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        garbage.settle()
        _log.info("serving", listen=listen, port=port, services=names)
        await stop.wait()
        # Readiness goes first, so that the mesh sends nothing new while the running calls end.
        await health_servicer.enter_graceful_shutdown()
        await server.stop(_DRAIN_SECONDS)
    for module in modules:
        await module.close()
    _log.info("stopped")


def build_server(
    modules: Sequence[Module], resources: Resources, sessions: OpenSessions | None = None
) -> tuple[grpc.aio.Server, health.HealthServicer, list[str]]:
    """Return the server with everything registered, its health servicer, and the names of the modules' services."""
    served = [item for module in modules for item in module.served]
    names = [item.full_name for item in served]
    infrastructure = [health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
    if resources.settings.environment != "production":
        infrastructure.append(reflection.SERVICE_NAME)
    revoked = RevokedSessions(resources.valkey)
    watched = sessions or OpenSessions(revoked.ended_among)
    around = interceptors(_verify(resources, revoked), Memberships(resources.mesh).role, watched)
    chain = InterceptorChain(around, access_rules([*names, *infrastructure]))
    server = grpc.aio.server(interceptors=[chain], options=_OPTIONS)
    for item in served:
        item.add_to_server(item.servicer, server)
    health_servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if reflection.SERVICE_NAME in infrastructure:
        reflection.enable_server_reflection([*names, *infrastructure], server)
    return server, health_servicer, names


def _verify(resources: Resources, revoked: RevokedSessions) -> Callable[[str], Awaitable[Caller]]:
    settings = resources.settings
    keys = ApiKeyVerifier(resources.mesh, revoked)
    tokens = TokenVerifier(
        issuer=settings.issuer,
        audience=settings.audience,
        secret="" if settings.service_token_url else settings.secret.get_secret_value(),
        keys=RemoteKeySet(settings.jwks_url),
        revoked=revoked,
    )

    async def verify(shown: str) -> Caller:
        return await (keys.verify(shown) if shown.startswith(PREFIX) else tokens.verify(shown))

    return verify


@contextlib.asynccontextmanager
async def _background(loops: Sequence[Callable[[], Awaitable[None]]]):  # type: ignore[no-untyped-def]
    tasks = [asyncio.create_task(keep_running(loop.__qualname__, loop)) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
