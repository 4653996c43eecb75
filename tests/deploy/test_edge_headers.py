"""What clients say about themselves does not reach those behind the edge; what the edge says does."""

import httpx
import pytest

from tests.deploy.running_envoy import House

FORGED = {
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "evil.test",
    "x-forwarded-port": "443",
    "x-forwarded-prefix": "/evil",
    "x-forwarded-client-cert": "URI=spiffe://parley/identity",
    "forwarded": "for=203.0.113.7",
    "x-real-ip": "203.0.113.7",
    "x-jwt-sub": "somebody-else",
    "x-jwt-payload": "e30",
    "x-envoy-external-address": "203.0.113.7",
    "x-envoy-internal": "true",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-max-retries": "9",
    "x-envoy-original-path": "/health",
    "grpc-metadata-x-envoy-external-address": "203.0.113.7",
    "grpc-metadata-x-jwt-sub": "somebody-else",
    "grpc-metadata-x-forwarded-for": "203.0.113.7",
}


@pytest.fixture
async def seen(house: House, signed_in: dict[str, str]) -> dict[str, str]:
    """What reached the adapter of a request from 127.0.0.5 with every forged header, and one honest one."""
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.5")
    async with httpx.AsyncClient(base_url=house.url, transport=elsewhere) as client:
        sent = FORGED | signed_in | {"grpc-metadata-tenant": "acme"}
        answer = await client.get("/api/v1/auth/me", headers=sent)
    assert answer.status_code == 200, answer.text
    return {name.lower(): value for name, value in answer.json()["headers"].items()}


async def test_forged_headers_stay_outside(seen: dict[str, str]) -> None:
    assert seen["grpc-metadata-tenant"] == "acme"
    assert {name: seen[name] for name, value in FORGED.items() if seen.get(name) == value} == {}
    assert "203.0.113.7" not in str(seen)


async def test_the_edge_says_who_calls(seen: dict[str, str]) -> None:
    assert (seen["x-envoy-external-address"], seen["x-forwarded-for"]) == ("127.0.0.5", "127.0.0.5")
    assert seen["x-forwarded-proto"] == "http"


async def test_api_keys_pass_to_the_services_that_check_them(house: House, edge: httpx.AsyncClient) -> None:
    del house
    for scheme in ("Bearer", "bearer"):
        passed = await edge.get("/api/v1/auth/me", headers={"authorization": f"{scheme} pk_0123456789"})
        assert (passed.status_code, passed.json()["headers"]["authorization"]) == (200, f"{scheme} pk_0123456789")
    for other in ("Bearer xpk_0123", "pk_0123", "Basic pk_0123", "Bearer  pk_0123"):
        assert (await edge.get("/api/v1/auth/me", headers={"authorization": other})).status_code == 401


async def test_without_keycloak_nothing_of_it_is_there(edge: httpx.AsyncClient, house: House) -> None:
    configuration = (house.folder / "envoy.yaml").read_text()
    assert "keycloak" not in configuration.lower().replace("# ", "")
    assert "name: security" not in configuration
    # The path is the REST adapter's, as any other.
    assert (await edge.get("/auth/admin")).json()["path"] == "/auth/admin"
