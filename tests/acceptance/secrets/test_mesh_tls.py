"""mTLS with certificates of Vault's PKI: who may call, and that a change of certificates is not noticed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from hvac.exceptions import VaultError

from services.chassis.certificate_agent import CertificateAgent
from services.chassis.certificates import Certificate, CertificateFolder, CertificateMissing
from services.chassis.mesh_tls import ENVOY, RotatingChannel, mesh_channel, server_credentials
from services.chassis.vault import VaultSession
from tests.acceptance.secrets.conftest import open_session
from tests.support.authority import foreign_certificate
from tests.support.running_vault import RunningVault

_LIFE_SECONDS = 3600.0


@pytest.fixture
async def session(vault: RunningVault) -> AsyncIterator[VaultSession]:
    """A session of the certificates' agent."""
    session = open_session(vault, "certificates")
    yield session
    await session.close()


@pytest.fixture
async def agents(session: VaultSession, tmp_path: Path) -> dict[str, CertificateAgent]:
    """The agents of a server that stands for Envoy, and of its client; both have a certificate."""
    agents = {
        name: CertificateAgent(session, name, CertificateFolder(tmp_path / name), _LIFE_SECONDS)
        for name in ("envoy", "worker")
    }
    for agent in agents.values():
        await agent.renew()
    return agents


@pytest.fixture
async def target(agents: dict[str, CertificateAgent], tmp_path: Path) -> AsyncIterator[str]:
    """HOST:PORT of a server with mTLS."""
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(CertificateFolder(tmp_path / "envoy")))
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_a_certificate_names_its_identity_and_no_other(
    agents: dict[str, CertificateAgent], session: VaultSession, tmp_path: Path
) -> None:
    _, laid = CertificateFolder(tmp_path / "worker").read()
    leaf = x509.load_pem_x509_certificate(laid.chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://parley/worker"]
    assert names.get_values_for_type(x509.DNSName) == ["worker.parley.internal"]
    for uri in ("spiffe://parley/envoy", "spiffe://elsewhere/worker"):
        with pytest.raises(VaultError):
            await session.call(
                lambda client, uri=uri: client.secrets.pki.generate_certificate(  # type: ignore[misc]
                    "worker", "worker.parley.internal", extra_params={"uri_sans": uri}
                )
            )


async def test_who_has_a_certificate_of_the_mesh_may_call(target: str, tmp_path: Path) -> None:
    async with mesh_channel(target, tmp_path / "worker", ()) as channel:
        assert await _ask(channel)


@pytest.mark.parametrize("who", ["nobody", "plain", "stranger"])
async def test_who_has_none_is_refused(target: str, tmp_path: Path, who: str) -> None:
    _, laid = CertificateFolder(tmp_path / "worker").read()
    foreign = foreign_certificate("spiffe://parley/worker")
    credentials = {
        "nobody": grpc.ssl_channel_credentials(laid.authority),
        "stranger": grpc.ssl_channel_credentials(laid.authority, foreign.key, foreign.chain),
    }
    options = (("grpc.ssl_target_name_override", ENVOY),)
    if who == "plain":
        channel = grpc.aio.insecure_channel(target)
    else:
        channel = grpc.aio.secure_channel(target, credentials[who], options=options)
    async with channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _ask(channel)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_does_not_talk_to_another_than_envoy(session: VaultSession, tmp_path: Path) -> None:
    for name in ("services", "worker"):
        await CertificateAgent(session, name, CertificateFolder(tmp_path / name), _LIFE_SECONDS).renew()
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(CertificateFolder(tmp_path / "services")))
    await server.start()
    async with mesh_channel(f"127.0.0.1:{port}", tmp_path / "worker", ()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _ask(channel)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    await server.stop(None)


async def test_certificates_change_under_load_and_no_call_fails(
    agents: dict[str, CertificateAgent], target: str, tmp_path: Path
) -> None:
    rotations = 5
    done = asyncio.Event()
    channel = mesh_channel(target, tmp_path / "worker", ())
    assert isinstance(channel, RotatingChannel)
    stub: Any = health_pb2_grpc.HealthStub(channel)
    # A stream from before the first rotation goes on to the end.
    watching = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING

    async def call() -> int:
        calls = 0
        while not done.is_set():
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
            calls += 1
        return calls

    callers = [asyncio.create_task(call()) for _ in range(8)]
    seen = set()
    for _ in range(rotations):
        for agent in agents.values():
            await agent.renew()
        # New connections meet the new certificate of the server.
        async with mesh_channel(target, tmp_path / "worker", ()) as fresh:
            await _ask(fresh)
        seen.add(channel.current())
    done.set()
    # A call that fails ends the test with its exception.
    calls = sum(await asyncio.gather(*callers))
    assert len(seen) == rotations
    assert not watching.done()
    watching.cancel()
    print(f"{calls} calls, {rotations} rotations of both sides, 0 failed")
    await channel.close()


def test_a_reader_gets_a_certificate_with_its_own_key(tmp_path: Path) -> None:
    folder = CertificateFolder(tmp_path / "one")
    with pytest.raises(CertificateMissing):
        folder.read()
    for number in range(4):
        text = str(number).encode()
        folder.replace(Certificate(text, text, text), f"v{number}")
        version, certificate = folder.read()
        assert (version, certificate.chain, certificate.key) == (f"v{number}", text, text)
    assert sorted(path.name for path in folder.path.iterdir()) == ["current", "v2", "v3"]
    assert (folder.path / "v3" / "key.pem").stat().st_mode & 0o777 == 0o600


async def _ask(channel: grpc.aio.Channel) -> bool:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
