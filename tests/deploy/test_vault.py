"""OpenBao as its rendered configuration starts it."""

import subprocess
from pathlib import Path

import hvac
import pytest
from requests.exceptions import RequestException, SSLError
from sqlalchemy import text

from deploy.local.folders import make_folders
from deploy.vault.configuration import VaultPlaces, policy, render
from deploy.vault.part import Vault, find_program
from deploy.vault.roles import roles
from services.chassis.database import Database
from tests.support.authority import foreign_certificate
from tests.support.polling import until
from tests.support.stores import free_port

_PASSWORD = "the operator's, for this test"


async def test_it_serves_tls_and_sets_itself_up(postgres_url: str, tmp_path: Path) -> None:
    server = Database(postgres_url)
    async with server.engine.connect() as connection:
        autonomous = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autonomous.execute(text("CREATE DATABASE vault_tls"))
    await server.close()
    certificate = foreign_certificate("spiffe://parley/vault", address="127.0.0.1")
    for name, content in (
        ("certificate.pem", certificate.chain),
        ("key.pem", certificate.key),
        ("seal.key", bytes(range(32))),
        ("password", _PASSWORD.encode()),
    ):
        (tmp_path / name).write_bytes(content)
    sockets = postgres_url.rpartition("host=")[2]
    places = VaultPlaces(
        address=f"127.0.0.1:{free_port()}",
        storage_url=f"postgres://postgres@/vault_tls?host={sockets}&sslmode=disable",
        seal_key=str(tmp_path / "seal.key"),
        operator_password=str(tmp_path / "password"),
        audit_log=str(tmp_path / "audit.log"),
        tls_certificate=str(tmp_path / "certificate.pem"),
        tls_key=str(tmp_path / "key.pem"),
    )
    (tmp_path / "openbao.hcl").write_text(render(places))
    process = subprocess.Popen([find_program(), "server", "-config", str(tmp_path / "openbao.hcl")])  # noqa: ASYNC220
    try:
        client = hvac.Client(url=places.url, verify=places.tls_certificate)
        until(lambda: _logs_in(client), seconds=30, what="the operator's login")
        assert client.auth.token.lookup_self()["data"]["policies"] == ["default", "operator"]
        with pytest.raises(SSLError):
            hvac.Client(url=places.url).sys.is_initialized()
    finally:
        process.terminate()
        process.wait(20)
    assert _PASSWORD not in (tmp_path / "audit.log").read_text()


def test_a_policy_needs_all_its_values() -> None:
    assert 'path "secret/data/identity/*"' in policy("capability", capability="identity")
    assert 'path "secret/data/shared/*"' in policy("capability", capability="identity")
    assert 'path "pki/issue/rest"' in policy(
        "role", role="certificates", certificates=["rest"], secrets=["migrations/*"]
    )
    with pytest.raises(Exception, match="capability"):
        policy("capability")


async def test_logins_of_an_earlier_start_are_not_taken_for_fresh_ones(tmp_path: Path) -> None:
    folders = make_folders(tmp_path / "home")
    vault = Vault(folders, {"vault": 1, "postgres": 2}, ["identity"])
    part = vault.hand_over_part()
    assert part.clear is not None
    assert part.ready is not None
    names = [role.name for role in roles(["identity"])]
    vault.folder.mkdir()
    for name in names:
        (vault.folder / name).write_text("of yesterday")
    part.clear()
    assert not await part.ready()
    for name in names:
        (vault.folder / name).write_text("of today")
    assert await part.ready()


def _logs_in(client: hvac.Client) -> bool:
    try:
        client.auth.userpass.login("operator", _PASSWORD)
    except (RequestException, hvac.exceptions.VaultError):
        return False
    return True
