"""mTLS through a real Envoy: caller, mesh listener and service each with a certificate of Vault's PKI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from deploy.envoy.mesh_tls import write_secrets
from deploy.envoy.settings import EnvoySettings
from services.chassis.certificate_agent import CertificateAgent
from services.chassis.certificates import CertificateFolder
from services.chassis.mesh_tls import mesh_channel, server_credentials
from services.chassis.vault import VaultSession
from tests.acceptance.secrets.conftest import open_session
from tests.deploy.running_envoy import House, plan_house, running_envoy
from tests.support.running_vault import RunningVault

_IDENTITIES = ("envoy", "services", "worker")


@dataclass(frozen=True)
class _TlsHouse(House):
    """A house whose mesh speaks mTLS."""

    def settings(self, **changes: object) -> EnvoySettings:
        certificates, secrets = str(self.folder / "envoy"), str(self.folder)
        write_secrets(certificates, self.folder)
        return super().settings(mesh_certificates=certificates, mesh_secrets=secrets, **changes)


@pytest.fixture
async def session(vault: RunningVault) -> AsyncIterator[VaultSession]:
    """A session of the certificates' agent."""
    session = open_session(vault, "certificates")
    yield session
    await session.close()


@pytest.fixture
async def agents(session: VaultSession, tmp_path: Path) -> list[CertificateAgent]:
    """The agents of all who take part; each has laid a certificate."""
    agents = [CertificateAgent(session, name, CertificateFolder(tmp_path / name), 3600) for name in _IDENTITIES]
    for agent in agents:
        await agent.renew()
    return agents


@asynccontextmanager
async def _serving(house: House, identity: str) -> AsyncIterator[None]:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    server.add_secure_port(
        f"127.0.0.1:{house.services}", server_credentials(CertificateFolder(house.folder / identity))
    )
    await server.start()
    yield
    await server.stop(None)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Free ports."""
    planned = plan_house(tmp_path)
    return _TlsHouse(**{name: getattr(planned, name) for name in planned.__dataclass_fields__})


async def test_certificates_change_under_load_and_no_call_fails(agents: list[CertificateAgent], house: House) -> None:
    rotations = 5
    done = asyncio.Event()
    async with _serving(house, "services"):
        with running_envoy(house):
            channel = mesh_channel(f"127.0.0.1:{house.mesh}", house.folder / "worker", ())
            stub: Any = health_pb2_grpc.HealthStub(channel)

            async def call() -> int:
                calls = 0
                while not done.is_set():
                    await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
                    calls += 1
                return calls

            callers = [asyncio.create_task(call()) for _ in range(8)]
            presented = set()
            for _ in range(rotations):
                presented.add(await _presented(house))
                for agent in agents:
                    await agent.renew()
                async with asyncio.timeout(20):
                    while await _presented(house) in presented:  # Envoy has seen the swap
                        assert not any(caller.done() for caller in callers)
            done.set()
            # A call that fails ends the test with its exception.
            calls = sum(await asyncio.gather(*callers))
            print(f"{calls} calls, {rotations} rotations of all three, 0 failed")
            await channel.close()


async def test_who_has_no_certificate_is_refused(agents: list[CertificateAgent], house: House) -> None:
    async with _serving(house, "services"):
        with running_envoy(house):
            _, laid = CertificateFolder(house.folder / "worker").read()
            target = f"127.0.0.1:{house.mesh}"
            options = (("grpc.ssl_target_name_override", "envoy.parley.internal"),)
            for channel in (
                grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(laid.authority), options=options),
                grpc.aio.insecure_channel(target),
            ):
                assert await _refused(channel)


async def test_envoy_talks_to_none_that_has_another_name(agents: list[CertificateAgent], house: House) -> None:
    async with _serving(house, "worker"):
        with running_envoy(house):
            assert await _refused(mesh_channel(f"127.0.0.1:{house.mesh}", house.folder / "worker", ()))


async def _refused(channel: grpc.aio.Channel) -> bool:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    async with channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
    return refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def _presented(house: House) -> str:
    """Return the serial number of the certificate that Envoy presents now."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{house.admin}/certs")
    return str([one["cert_chain"][0]["serial_number"] for one in answer.json()["certificates"]])
