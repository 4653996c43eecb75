"""The edge listener, driven over HTTP with real traffic."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from tests.deploy.rest_double import running_rest_double
from tests.deploy.running_envoy import House, plan_house, running_envoy
from tests.deploy.tokens import TokenMaker, bad_tokens
from tests.support.polling import until

BAD = ["expired", "no expiry", "wrong issuer", "wrong audience", "wrong key", "alg none", "not a token"]
PUBLIC = [
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/register"),
    ("POST", "/api/v1/auth/refresh"),
    ("GET", "/api/v1/ai/models/status"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/api/docs"),
    ("GET", "/api/docs/swagger-ui.css"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/v1/auth/docs"),
    ("GET", "/api/v1/chat/openapi.json"),
    ("GET", "/api/v1/ai/health"),
    ("GET", "/chat/health"),
    ("GET", "/health"),
    ("GET", "/healthz"),
    ("GET", "/"),
]
PRIVATE = [
    ("GET", "/api/v1/auth/login"),
    ("GET", "/api/v1/auth/me"),
    ("POST", "/api/v1/chat/conversations"),
    ("GET", "/api/v1/users/me"),
    ("GET", "/api/docsomething"),
    ("GET", "/api//v1/users/me"),
    ("GET", "/api/docs/../v1/users/me"),
    ("GET", "/health/../api/v1/users/me"),
    ("GET", "/api/%64ocs/../v1/users/me"),
]


@pytest.mark.parametrize(("method", "path"), PUBLIC)
async def test_public_paths_need_no_token(edge: httpx.AsyncClient, method: str, path: str) -> None:
    response = await edge.request(method, path)
    assert (response.status_code, response.json()["path"]) == (200, path) if "well" not in path else response.is_success


@pytest.mark.parametrize(("method", "path"), PRIVATE)
async def test_private_paths_need_a_token(house: House, method: str, path: str) -> None:
    async with httpx.AsyncClient() as client:
        # As raw as possible: the client must not tidy the path up before Envoy does.
        request = client.build_request(method, house.url)
        request.url = httpx.URL(house.url).copy_with(raw_path=path.encode())
        response = await client.send(request)
    assert response.status_code == 401
    assert response.json() == {"code": 16, "message": "Jwt is missing", "details": []}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("flaw", BAD)
async def test_bad_tokens_answer_401(edge: httpx.AsyncClient, maker: TokenMaker, flaw: str) -> None:
    token = bad_tokens(maker)[flaw]
    response = await edge.get("/api/v1/auth/me", headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 401, response.text
    body = response.json()
    assert (body["code"], body["details"]) == (16, [])
    assert body["message"]
    assert response.headers["content-type"] == "application/json"
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_the_token_reaches_the_adapter(edge: httpx.AsyncClient, signed_in: dict[str, str]) -> None:
    response = await edge.get("/api/v1/users/me?fields=a", headers=signed_in)
    assert response.status_code == 200
    seen = response.json()
    assert seen["path"] == "/api/v1/users/me?fields=a"
    assert seen["headers"]["authorization"] == signed_in["authorization"]
    assert seen["headers"]["x-request-id"] == response.headers["x-request-id"]


async def test_a_token_in_the_query_does_not_count(edge: httpx.AsyncClient, maker: TokenMaker) -> None:
    assert (await edge.get(f"/api/v1/users/me?access_token={maker.token()}")).status_code == 401


async def test_security_headers_stand_on_every_answer(edge: httpx.AsyncClient) -> None:
    # The last is refused while it is parsed, before it has an id.
    for path, has_id in (("/health", True), ("/api/v1/users/me", True), ("/a%2Fb", False)):
        headers = (await edge.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert ("x-request-id" in headers) is has_id
        assert "strict-transport-security" not in headers
        assert not [name for name in headers if name.startswith("x-envoy")]


async def test_preflight_of_a_local_page_passes(edge: httpx.AsyncClient) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    headers = asked | {"origin": "http://localhost:5173"}
    response = await edge.options("/api/v1/chat/conversations", headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "authorization" in response.headers["access-control-allow-headers"]
    assert "POST" in response.headers["access-control-allow-methods"]
    refused = await edge.options("/api/v1/chat/conversations", headers=asked | {"origin": "https://evil.test"})
    assert "access-control-allow-origin" not in refused.headers


async def test_no_page_may_send_credentials(edge: httpx.AsyncClient, signed_in: dict[str, str]) -> None:
    origin = {"origin": "http://localhost:5173"}
    asked = origin | {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    answers = [
        await edge.options("/api/v1/users/me", headers=asked),
        await edge.get("/api/v1/users/me", headers=origin | signed_in),
        await edge.get("/api/v1/users/me", headers=origin),
    ]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == origin["origin"]
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_local_page_may_read_a_refusal(edge: httpx.AsyncClient) -> None:
    response = await edge.get("/api/v1/users/me", headers={"origin": "http://127.0.0.1:3000"})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == "http://127.0.0.1:3000"


async def test_unknown_paths(edge: httpx.AsyncClient, signed_in: dict[str, str]) -> None:
    assert (await edge.get("/unknown")).json()["path"] == "/unknown"
    response = await edge.get("/parley.identity.v1.AuthService/Nothing")
    assert (response.status_code, response.json()["code"]) == (401, 16)
    # An RPC of services only is not even asked for a token: it is not there.
    response = await edge.post("/parley.inference.v1.GenerationService/Generate")
    assert (response.status_code, response.json()["code"]) == (404, 5)


async def test_an_escaped_slash_is_refused(edge: httpx.AsyncClient, signed_in: dict[str, str]) -> None:
    response = await edge.get("/api/v1/users/a%2Fb", headers=signed_in)
    assert (response.status_code, response.json()["code"]) == (400, 3)


async def test_an_underscored_header_is_refused(edge: httpx.AsyncClient) -> None:
    assert (await edge.get("/health", headers={"x_user": "root"})).status_code == 400


LIMITS = [
    ("/api/v1/auth/login", 64 * 1024, ""),
    ("/anything", 64 * 1024, ""),
    ("/api/v1/chat/conversations", 1024 * 1024, "token"),
    ("/api/v1/tools:importOpenApi", 4 * 1024 * 1024, "token"),
    # Nobody has looked at the key when the body comes.
    ("/api/v1/tools:importOpenApi", 1024 * 1024, "key"),
]


@pytest.mark.parametrize(("path", "limit", "shown"), LIMITS)
async def test_a_body_over_the_limit_answers_413(
    edge: httpx.AsyncClient, signed_in: dict[str, str], path: str, limit: int, shown: str
) -> None:
    headers = {"": {}, "token": signed_in, "key": {"authorization": f"Bearer pk_{'0' * 10}_{'a' * 43}"}}[shown]
    fits = await edge.post(path, content=b"x" * limit, headers=headers)
    assert (fits.status_code, fits.json()["bytes"]) == (200, limit)
    response = await edge.post(path, content=b"x" * (limit + 1), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, 8)


async def test_events_pass_as_they_come(edge: httpx.AsyncClient, signed_in: dict[str, str]) -> None:
    arrived = []
    path = "/api/v1/chat/conversations/c/runs/r:stream"
    async with edge.stream("GET", path, headers=signed_in) as response:
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                arrived.append(line)
                # Only now the next one is sent: an event that was held back would come never.
                await edge.get("/api/read", headers=signed_in)
    assert arrived == ["data: 0", "data: 1", "data: 2"]


def test_the_access_log_has_no_token(house: House, maker: TokenMaker) -> None:
    token = maker.token(sub="logged")
    httpx.get(f"{house.url}/api/logged?access_token={token}", headers={"authorization": f"Bearer {token}"})
    log = house.folder / "access.log"
    until(lambda: "/api/logged" in log.read_text(), seconds=5, what="the log line")
    assert token not in log.read_text()
    line = next(json.loads(line) for line in log.read_text().splitlines() if "/api/logged" in line)
    assert (line["path"], line["status"], line["method"]) == ("/api/logged", 200, "GET")


async def test_a_request_that_comes_too_slowly_is_given_up(tmp_path: Path, maker: TokenMaker) -> None:
    house = plan_house(tmp_path)
    with running_rest_double(house.rest, maker.key_set()), running_envoy(house, request_seconds=1):
        for path, kind, sent in (
            ("/api/v1/auth/login", "application/json", b"{"),
            ("/parley.identity.v1.AuthService/Login", "application/grpc", b"\0\0\0"),
        ):
            answer = await _half_sent(house.edge, path, kind, sent)
            if kind == "application/json":
                assert b" 408 " in answer
                assert b'"code":4' in answer
            else:
                assert b"grpc-status: 4\r\n" in answer


async def _half_sent(port: int, path: str, kind: str, sent: bytes) -> bytes:
    """Announce a body, send the beginning of it, and return what the edge says in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nhost: edge\r\ncontent-type: {kind}\r\ncontent-length: 1000\r\n\r\n"
    writer.write(head.encode() + sent)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer
