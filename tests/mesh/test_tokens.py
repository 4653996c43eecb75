"""Tokens are given, renewed, taken back, and checked twice: by Envoy and by every service."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import httpx
import jwt
import pytest
from parley.conversations.v1 import conversation_service_pb2, conversation_service_pb2_grpc
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc
from parley.inference.v1 import generation_service_pb2, generation_service_pb2_grpc

from tests.mesh.forger import FLAWS, Forger
from tests.support.callers import Edge, Person, bearer, grpc_bearer, refusal
from tests.support.running_mesh import RunningMesh

ME = "/api/v1/auth/me"

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
CURL = "curl/8.5.0"


@pytest.fixture(scope="module")
def forger(mesh: RunningMesh) -> Forger:
    """Who forges tokens."""
    return Forger(mesh)


@pytest.fixture(scope="module")
async def services(mesh: RunningMesh) -> AsyncIterator[grpc.aio.Channel]:
    """The services' own port, past Envoy."""
    async with grpc.aio.insecure_channel(mesh.parts["services"]["address"]) as channel:
        yield channel


async def refused_everywhere(edge: Edge, token: str) -> None:
    """Check that a token opens nothing at the edge, over REST and over gRPC."""
    refusal(await edge.http.get(ME, headers=bearer(token)), 401, 16)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await auth_service_pb2_grpc.AuthServiceStub(edge.channel).GetMe(
            auth_service_pb2.GetMeRequest(), metadata=grpc_bearer(token)
        )
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def refresh(edge: Edge, token: str, agent: str = FIREFOX) -> httpx.Response:
    shown = {"refreshToken": token}
    return await edge.http.post("/api/v1/auth/refresh", json=shown, headers={"user-agent": agent})


async def test_a_refresh_gives_the_next_pair(edge: Edge, ada: Person) -> None:
    response = await refresh(edge, ada.tokens["refreshToken"])
    assert response.status_code == 200
    pair = response.json()
    assert set(pair) == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert pair["refreshToken"] != ada.tokens["refreshToken"]
    assert pair["accessToken"] != ada.token
    assert (await Person(edge, {}, pair).get(ME))["id"] == ada.id
    # The access token of the pair before is good until it expires.
    assert (await ada.get(ME))["id"] == ada.id
    assert (await refresh(edge, pair["refreshToken"])).status_code == 200


async def test_a_spent_refresh_token_ends_the_whole_family_at_once(edge: Edge, ada: Person) -> None:
    another = await edge.sign_in(ada.user["email"])
    pair = (await refresh(edge, ada.tokens["refreshToken"])).json()
    response = await refresh(edge, ada.tokens["refreshToken"], CURL)
    refusal(response, 401, 16, reason="REFRESH_TOKEN_REUSED")
    for token in (ada.token, pair["accessToken"]):
        await refused_everywhere(edge, token)
    refusal(await refresh(edge, pair["refreshToken"]), 401, 16, reason="INVALID_REFRESH_TOKEN")
    # The user's other session lives on.
    assert (await Person(edge, {}, another).get(ME))["id"] == ada.id


async def test_two_tabs_that_refresh_at_once_get_the_same_pair(edge: Edge, ada: Person) -> None:
    answers = await asyncio.gather(*[refresh(edge, ada.tokens["refreshToken"]) for _ in range(4)])
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["refreshToken"] for answer in answers}) == 1
    # An answer that was lost is given again, after an update of the browser too.
    again = await refresh(edge, ada.tokens["refreshToken"], FIREFOX.replace("131", "132"))
    assert again.json() == answers[0].json()
    assert (await Person(edge, {}, again.json()).get(ME))["id"] == ada.id
    assert (await refresh(edge, again.json()["refreshToken"])).status_code == 200


async def test_of_two_clients_that_refresh_at_once_nobody_stays(edge: Edge, ada: Person) -> None:
    agents = [FIREFOX, CURL] * 2
    answers = await asyncio.gather(*[refresh(edge, ada.tokens["refreshToken"], agent) for agent in agents])
    assert any(answer.status_code == 401 for answer in answers)
    await refused_everywhere(edge, ada.token)
    for answer in answers:
        if answer.status_code == 200:
            refusal(await refresh(edge, answer.json()["refreshToken"]), 401, 16)


async def test_a_session_that_has_ended_is_not_answered_again(edge: Edge, ada: Person) -> None:
    assert (await refresh(edge, ada.tokens["refreshToken"])).status_code == 200
    assert await ada.post("/api/v1/auth/logout") == {}
    refusal(await refresh(edge, ada.tokens["refreshToken"]), 401, 16, reason="INVALID_REFRESH_TOKEN")


async def test_logout_works_at_once(edge: Edge, ada: Person) -> None:
    assert await ada.post("/api/v1/auth/logout") == {}
    await refused_everywhere(edge, ada.token)
    refusal(await refresh(edge, ada.tokens["refreshToken"]), 401, 16, reason="INVALID_REFRESH_TOKEN")
    assert await edge.sign_in(ada.user["email"])


async def test_an_access_token_is_no_refresh_token_and_the_other_way_round(edge: Edge, ada: Person) -> None:
    refusal(await refresh(edge, "nonsense"), 401, 16, reason="INVALID_REFRESH_TOKEN")
    response = await refresh(edge, ada.token)
    assert response.status_code in (400, 401)
    await refused_everywhere(edge, ada.tokens["refreshToken"])
    refusal(await refresh(edge, ""), 400, 3, field="refresh_token")


@pytest.mark.parametrize("path", [ME, "/api/v1/users/me", "/api/v1/chat/conversations", "/api/v1/ai/chat/sessions"])
async def test_without_a_token_nobody_is_let_in(edge: Edge, ada: Person, path: str) -> None:
    response = await edge.http.get(path)
    refusal(response, 401, 16)
    assert response.headers["www-authenticate"].startswith("Bearer")
    for authorization in ("", "Bearer", f"Basic {ada.token}", ada.token):
        refusal(await edge.http.get(path, headers={"authorization": authorization}), 401, 16)
    refusal(await edge.http.get(path, params={"access_token": ada.token}), 401, 16)


@pytest.mark.parametrize("flaw", FLAWS)
async def test_a_bad_token_is_refused_at_the_edge(edge: Edge, ada: Person, forger: Forger, flaw: str) -> None:
    assert (await edge.http.get(ME, headers=bearer(forger.again(ada)))).status_code == 200
    await refused_everywhere(edge, forger.bad(flaw, ada))


@pytest.mark.parametrize("flaw", [flaw for flaw in FLAWS if flaw != "a service's own"])
async def test_a_service_refuses_a_bad_token_by_itself(
    services: grpc.aio.Channel, ada: Person, forger: Forger, flaw: str
) -> None:
    stub = auth_service_pb2_grpc.AuthServiceStub(services)
    good = await stub.GetMe(auth_service_pb2.GetMeRequest(), metadata=grpc_bearer(forger.again(ada)))
    assert good.user.id == ada.id
    conversations = conversation_service_pb2_grpc.ConversationServiceStub(services)
    metadata = grpc_bearer(forger.bad(flaw, ada))
    for call in (
        stub.GetMe(auth_service_pb2.GetMeRequest(), metadata=metadata),
        conversations.ListConversations(conversation_service_pb2.ListConversationsRequest(), metadata=metadata),
        stub.GetMe(auth_service_pb2.GetMeRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call
        assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert failure.value.details()


async def test_a_service_knows_of_a_logout_by_itself(services: grpc.aio.Channel, ada: Person) -> None:
    await ada.post("/api/v1/auth/logout")
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await auth_service_pb2_grpc.AuthServiceStub(services).GetMe(
            auth_service_pb2.GetMeRequest(), metadata=ada.metadata
        )
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_the_models_are_asked_by_services_only(
    edge: Edge, services: grpc.aio.Channel, ada: Person, admin: Person, forger: Forger
) -> None:
    message = generation_service_pb2.PromptMessage(role="user", text="hi")
    request = generation_service_pb2.GenerateRequest(messages=[message])
    inside = generation_service_pb2_grpc.GenerationServiceStub(services)
    answers = [answer async for answer in inside.Generate(request, metadata=grpc_bearer(forger.service()))]
    assert "".join(piece for answer in answers for piece in answer.pieces) == "You said: hi"
    for metadata in (ada.metadata, admin.metadata):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await inside.Generate(request, metadata=metadata).read()
        assert failure.value.code() is grpc.StatusCode.PERMISSION_DENIED
    outside = generation_service_pb2_grpc.GenerationServiceStub(edge.channel)
    for metadata in (admin.metadata, grpc_bearer(forger.service()), ()):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await outside.Generate(request, metadata=metadata).read()
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    response = await admin.ask("POST", "/parley.inference.v1.GenerationService/Generate", json={})
    refusal(response, 404, 5)


async def test_a_service_is_no_user(services: grpc.aio.Channel, forger: Forger) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await auth_service_pb2_grpc.AuthServiceStub(services).GetMe(
            auth_service_pb2.GetMeRequest(), metadata=grpc_bearer(forger.service())
        )
    assert failure.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_stranger_verifies_a_token_with_what_is_published(edge: Edge, mesh: RunningMesh, ada: Person) -> None:
    metadata = (await edge.http.get("/.well-known/openid-configuration")).json()
    assert (metadata["issuer"], metadata["jwks_uri"]) == (mesh.url, f"{mesh.url}/.well-known/jwks.json")
    response = await edge.http.get(metadata["jwks_uri"])
    assert response.headers["content-type"].startswith("application/json")
    keys = response.json()["keys"]
    assert keys
    assert not [key for key in keys if {"d", "p", "q"} & set(key)]
    header = jwt.get_unverified_header(ada.token)
    assert header["alg"] in metadata["id_token_signing_alg_values_supported"]
    key = next(jwt.PyJWK(key) for key in keys if key["kid"] == header["kid"])
    claims = jwt.decode(ada.token, key, algorithms=["RS256"], audience="parley", issuer=metadata["issuer"])
    assert (claims["sub"], claims["realm_access"]["roles"]) == (ada.id, ["user"])
    assert claims["exp"] - claims["iat"] == 1800
    assert (await ada.get(metadata["userinfo_endpoint"]))["id"] == ada.id
