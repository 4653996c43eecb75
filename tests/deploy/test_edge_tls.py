"""The edge with a certificate of one's own: REST, gRPC and WebSocket over TLS, nothing in plain."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from parley.identity.v1 import user_service_pb2, user_service_pb2_grpc
from websockets.asyncio.client import connect

from tests.support.authority import foreign_certificate
from tests.support.callers import Edge, grpc_bearer
from tests.support.running_mesh import RunningMesh, refused, running_mesh


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    made = foreign_certificate("https://edge.test", "127.0.0.1")
    (folder / "fullchain.pem").write_bytes(made.chain)
    (folder / "privkey.pem").write_bytes(made.key)
    return folder


@pytest.fixture(scope="module")
def house(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """A house whose edge has the certificate."""
    files = {"edge_tls_certificate": certificate / "fullchain.pem", "edge_tls_key": certificate / "privkey.pem"}
    with running_mesh(tmp_path_factory.mktemp("house"), **files) as mesh:
        yield mesh


async def test_every_face_speaks_tls(house: RunningMesh, certificate: Path) -> None:
    trusted = ssl.create_default_context(cafile=str(certificate / "fullchain.pem"))
    credentials = grpc.ssl_channel_credentials((certificate / "fullchain.pem").read_bytes())
    async with (
        httpx.AsyncClient(base_url=f"https://{house.address}", verify=trusted) as http,
        grpc.aio.secure_channel(house.address, credentials) as channel,
    ):
        ada = await Edge(str(http.base_url), http, channel).register()
        answer = await ada.ask("GET", "/api/v1/auth/me")
        assert (answer.status_code, answer.json()["id"]) == (200, ada.id)
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        users = user_service_pb2_grpc.UserServiceStub(channel)
        me = await users.GetCurrentUser(
            user_service_pb2.GetCurrentUserRequest(), metadata=grpc_bearer(ada.token), timeout=10
        )
        assert me.user.id == ada.id
        issuer = (await http.get("/.well-known/openid-configuration")).json()["issuer"]
        assert issuer == f"https://{house.address}"
    async with connect(f"wss://{house.address}/connection/websocket", ssl=trusted, proxy=None) as socket:
        await socket.send(json.dumps({"id": 1, "connect": {"token": ada.token}}))
        assert "connect" in json.loads(await socket.recv())


async def test_nothing_is_answered_in_plain_and_strangers_to_the_authority_see_that(house: RunningMesh) -> None:
    async with httpx.AsyncClient() as plain:
        with pytest.raises(httpx.TransportError):
            await plain.get(f"http://{house.address}/health")
    stranger = ssl.create_default_context()
    async with httpx.AsyncClient(verify=stranger) as strict:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await strict.get(f"https://{house.address}/health")


def test_half_a_certificate_stops_the_start(certificate: Path, tmp_path: Path) -> None:
    code, told = refused(tmp_path, 1, edge_tls_certificate=certificate / "fullchain.pem")
    assert (code, told) == (1, "parley: PARLEY_EDGE_TLS_CERTIFICATE and PARLEY_EDGE_TLS_KEY go together\n")
    code, told = refused(tmp_path, 1, edge_tls_certificate=tmp_path / "none", edge_tls_key=tmp_path / "none")
    assert (code, told.splitlines()) == (1, ["parley: PARLEY_EDGE_TLS_CERTIFICATE: Path does not point to a file"])
