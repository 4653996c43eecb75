"""The console and the realm of its administrators are at the security listener, and nowhere else."""

import asyncio

import httpx
import pytest

from tests.stack.conftest import Stack

CONSOLE = "/auth/admin/master/console/"
TRICKS = [
    "/auth/admin",
    "/auth/admin/",
    CONSOLE,
    "/auth/admin/realms/parley/users",
    "/AUTH/ADMIN/master/console/",
    "/auth/Admin/master/console/",
    "//auth//admin//master//console/",
    "/auth//admin/master/console/",
    "/auth/./admin/master/console/",
    "/auth/realms/../admin/master/console/",
    "/auth/realms/parley/../../admin/master/console/",
    "/x/../auth/admin/master/console/",
    "/auth/%61dmin/master/console/",
    "/auth/%2561dmin/master/console/",
    "/%61uth/%61%64%6d%69%6e/master/console/",
    "/auth%2fadmin/master/console/",
    "/auth/%2e/admin/master/console/",
    "/auth/realms/%2e%2e/admin/master/console/",
    "/auth/realms/..%2fadmin/master/console/",
    "/auth/realms/parley/..;/..;/admin/master/console/",
    "/auth/;/admin/master/console/",
    "/auth/admin;x=y/master/console/",
    "/auth;x=y/admin/master/console/",
    "/auth/realms;x=y/master",
    "/auth\\admin\\master\\console\\",
    "/auth/realms/..\\admin/master/console/",
    "/auth/realms/%5c../admin/master/console/",
    "/auth/realms/master",
    "/auth/realms/master/",
    "/auth/realms/Master/protocol/openid-connect/token",
    "/auth/realms/%6daster/protocol/openid-connect/token",
    "/auth/realms/mast%65r",
    "/auth/realms/./master",
    "/auth//realms//master",
    "/auth/realms/parley/../master",
    "/auth/realms/master;x=y/protocol/openid-connect/token",
    "/auth/realms/master%00",
    "/auth/realms/master%20",
    "/auth/resources/../admin/master/console/",
    "/auth/resources/../realms/master",
    "/auth/health/ready",
    "/auth/metrics",
    "/auth/",
    "/auth",
    "http://127.0.0.1/auth/admin/master/console/",
]


async def raw_get(port: int, path: str) -> tuple[int, str]:
    """GET a path exactly as it is spelled: clients put them in order. Return the status and the rest."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    answer = (await asyncio.wait_for(reader.read(), 20)).decode("latin-1")
    writer.close()
    status, _, rest = answer.partition("\r\n")
    return int(status.split(" ")[1]), rest


@pytest.mark.parametrize("path", TRICKS)
async def test_no_spelling_reaches_the_console_through_the_edge(stack: Stack, path: str) -> None:
    status, answer = await raw_get(stack.mesh.port, path)
    assert status in (400, 404), (status, answer[:300])
    # Keycloak dresses every answer of its own with this; the edge's refusals have it not.
    assert "x-robots-tag" not in answer.lower()


async def test_the_same_paths_are_the_console_at_the_security_listener(stack: Stack) -> None:
    port = stack.ports["security"]
    for path in (CONSOLE, "/auth/realms/master", "/auth/%61dmin/master/console/"):
        status, answer = await raw_get(port, path)
        assert (status, "x-robots-tag" in answer.lower()) == (200, True), path


async def test_people_sign_in_at_the_edge(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as client:
        metadata = (await client.get("/auth/realms/parley/.well-known/openid-configuration")).json()
        assert metadata["issuer"] == stack.issuer
        query = {
            "client_id": "parley-web",
            "redirect_uri": f"http://127.0.0.1:{stack.page}/",
            "response_type": "code",
            "scope": "openid",
            "code_challenge": "a" * 43,
            "code_challenge_method": "S256",
        }
        page = await client.get("/auth/realms/parley/protocol/openid-connect/auth", params=query)
        assert page.status_code == 200
        assert 'name="username"' in page.text
        assert page.headers["x-frame-options"] == "SAMEORIGIN"
        del query["code_challenge"], query["code_challenge_method"]
        refused = await client.get("/auth/realms/parley/protocol/openid-connect/auth", params=query)
        assert "error=invalid_request" in refused.headers["location"]


async def test_the_security_team_signs_in_at_its_listener(stack: Stack) -> None:
    form = {
        "grant_type": "password",
        "client_id": "admin-cli",
        "username": "admin",
        "password": stack.secret("keycloak-console-password"),
    }
    async with httpx.AsyncClient() as client:
        path = "/auth/realms/master/protocol/openid-connect/token"
        token = (await client.post(stack.security + path, data=form)).json()["access_token"]
        bearer = {"authorization": f"Bearer {token}"}
        users = await client.get(f"{stack.security}/auth/admin/realms/parley/users", headers=bearer)
        assert users.status_code == 200
        assert (await client.get(f"{stack.url}/auth/admin/realms/parley/users", headers=bearer)).status_code == 404
        # The console asks for its login where it is served.
        config = await client.get(f"{stack.security}/auth/realms/master/.well-known/openid-configuration")
        assert config.json()["authorization_endpoint"].startswith(stack.security)
