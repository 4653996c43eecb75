"""Attacks on Keycloak's tokens: each fails at the edge, in both forms, and again at the service itself."""

from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc
from parley.inference.v1 import generation_service_pb2, generation_service_pb2_grpc

from services.chassis.certificates import CertificateFolder
from tests.stack.conftest import Stack
from tests.stack.forger import FLAWS, Forger
from tests.support.callers import Edge, Person, bearer, grpc_bearer, refusal

ME = "/api/v1/auth/me"
# A service knows another service, and lets it do nothing that is a person's. Beyond 8 KiB of metadata gRPC itself
# refuses the more calls the nearer they come to 16 KiB, so either of the two may be first.
_INSIDE = {
    "a service account's": {grpc.StatusCode.PERMISSION_DENIED},
    "beyond 8 KiB": {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAUTHENTICATED},
}


@pytest.fixture(scope="module")
def forger(stack: Stack, ada: Person) -> Forger:
    """Who forges tokens."""
    return Forger(stack, ada)


@pytest.fixture(scope="module")
async def services(stack: Stack) -> AsyncIterator[grpc.aio.Channel]:
    """The services' own port, past Envoy, as who holds a certificate of the mesh."""
    _, held = CertificateFolder(stack.mesh.home / "run" / "certificates" / "rest").read()
    credentials = grpc.ssl_channel_credentials(held.authority, held.key, held.chain)
    named = [("grpc.ssl_target_name_override", "services.parley.internal")]
    address = stack.mesh.parts["services"]["address"]
    async with grpc.aio.secure_channel(address, credentials, options=named) as channel:
        yield channel


async def _code_of(channel: grpc.aio.Channel, token: str) -> grpc.StatusCode:
    stub = auth_service_pb2_grpc.AuthServiceStub(channel)
    try:
        await stub.GetMe(auth_service_pb2.GetMeRequest(), metadata=grpc_bearer(token), timeout=20)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("flaw", FLAWS)
async def test_a_bad_token_opens_nothing(
    edge: Edge, services: grpc.aio.Channel, ada: Person, forger: Forger, flaw: str
) -> None:
    token = forger.bad(flaw)
    refusal(await edge.http.get(ME, headers=bearer(token)), 401, 16)
    assert await _code_of(edge.channel, token) is grpc.StatusCode.UNAUTHENTICATED
    inside = await _code_of(services, token)
    assert inside in _INSIDE.get(flaw, {grpc.StatusCode.UNAUTHENTICATED})
    assert await _code_of(services, ada.token) is grpc.StatusCode.OK


async def test_a_service_may_call_what_the_contract_lets_it(services: grpc.aio.Channel, forger: Forger) -> None:
    stub = generation_service_pb2_grpc.GenerationServiceStub(services)
    message = generation_service_pb2.PromptMessage(role="user", text="hi")
    request = generation_service_pb2.GenerateRequest(messages=[message])
    allowed = grpc_bearer(forger.service_account("conversations"))
    assert [answer async for answer in stub.Generate(request, metadata=allowed)]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Generate(request, metadata=grpc_bearer(forger.service_account("identity"))).read()
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "the service conversations" in str(refused.value.details())


@pytest.mark.parametrize(
    "headers",
    [
        {"x-jwt-sub": "someone", "x-jwt-payload": "eyJzdWIiOiJzb21lb25lIn0"},
        {"x-envoy-external-address": "127.0.0.1", "x-envoy-internal": "true"},
        {"x-forwarded-user": "admin", "x-forwarded-client-cert": "URI=spiffe://parley/conversations"},
        {"x-envoy-original-path": "/healthz"},
        {"x-original-url": "/health", "x-rewrite-url": "/health"},
        {"x-http-method-override": "OPTIONS"},
        {"grpc-metadata-authorization": "Bearer nonsense"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_forged_headers_take_the_place_of_no_token(edge: Edge, headers: dict[str, str]) -> None:
    refusal(await edge.http.get(ME, headers=headers), 401, 16)


async def test_nobody_chooses_the_address_that_a_session_shows(edge: Edge) -> None:
    bea = await edge.register()
    forged = {
        "x-forwarded-for": "203.0.113.7",
        "x-real-ip": "203.0.113.7",
        "forwarded": "for=203.0.113.7",
        "x-envoy-external-address": "203.0.113.7",
        "grpc-metadata-x-envoy-external-address": "203.0.113.7",
        "grpc-metadata-x-forwarded-for": "203.0.113.7",
    }
    body = {"login": bea.user["email"], "password": "correct horse battery"}
    answer = await edge.http.post("/api/v1/auth/login", json=body, headers=forged)
    assert answer.status_code == 200
    over_grpc = auth_service_pb2.LoginRequest(**body)
    metadata = tuple((name, value) for name, value in forged.items())
    await auth_service_pb2_grpc.AuthServiceStub(edge.channel).Login(over_grpc, metadata=metadata)
    # From another address of this machine: it is told as it is, over REST as over gRPC.
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.5")
    async with httpx.AsyncClient(base_url=edge.url, transport=elsewhere, timeout=30) as client:
        assert (await client.post("/api/v1/auth/login", json=body, headers=forged)).status_code == 200
    sessions = (await bea.get("/api/v1/auth/sessions"))["sessions"]
    assert sorted(session["address"] for session in sessions) == ["127.0.0.1"] * 3 + ["127.0.0.5"]
