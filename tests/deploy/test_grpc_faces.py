"""Both listeners, driven over gRPC; and gRPC-Web at the edge."""

import base64
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc
from parley.inference.v1 import generation_service_pb2, generation_service_pb2_grpc

from tests.deploy.test_edge_http import BAD
from tests.deploy.tokens import TokenMaker, bad_tokens


async def test_a_public_rpc_needs_no_token(edge_channel: grpc.aio.Channel) -> None:
    stub = auth_service_pb2_grpc.AuthServiceStub(edge_channel)
    response = await stub.Login(auth_service_pb2.LoginRequest(login="ada"))
    assert response.access_token == "ada"


async def test_a_token_opens_the_others(edge_channel: grpc.aio.Channel, maker: TokenMaker) -> None:
    stub = auth_service_pb2_grpc.AuthServiceStub(edge_channel)
    bearer = f"Bearer {maker.token()}"
    response = await stub.GetMe(auth_service_pb2.GetMeRequest(), metadata=(("authorization", bearer),))
    assert response.user.username == bearer


@pytest.mark.parametrize("flaw", ["missing", *BAD])
async def test_bad_tokens_are_unauthenticated(edge_channel: grpc.aio.Channel, maker: TokenMaker, flaw: str) -> None:
    stub = auth_service_pb2_grpc.AuthServiceStub(edge_channel)
    token = bad_tokens(maker).get(flaw)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.GetMe(auth_service_pb2.GetMeRequest(), metadata=metadata)
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "{" not in (failure.value.details() or "")
    assert failure.value.details()


async def test_a_large_request_is_refused_before_it_reaches_anybody(edge_channel: grpc.aio.Channel) -> None:
    stub = auth_service_pb2_grpc.AuthServiceStub(edge_channel)
    fits = await stub.Login(auth_service_pb2.LoginRequest(login="a" * (64 * 1024 - 100)))
    assert len(fits.access_token) == 64 * 1024 - 100
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.Login(auth_service_pb2.LoginRequest(login="a" * (64 * 1024)))
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.value.details() == "The body is too large."


async def test_a_service_only_rpc_exists_in_the_mesh_alone(
    edge_channel: grpc.aio.Channel, mesh_channel: grpc.aio.Channel, maker: TokenMaker
) -> None:
    request = generation_service_pb2.GenerateRequest()
    inside = generation_service_pb2_grpc.GenerationServiceStub(mesh_channel).Generate(request)
    assert len([part async for part in inside]) == 2
    for metadata in ((), (("authorization", f"Bearer {maker.token()}"),)):
        outside = generation_service_pb2_grpc.GenerationServiceStub(edge_channel).Generate(request, metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await outside.read()
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_unknown_service_is_unimplemented(
    edge_channel: grpc.aio.Channel, mesh_channel: grpc.aio.Channel
) -> None:
    channel: Any
    for channel in (edge_channel, mesh_channel):
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await channel.unary_unary("/nobody.v1.Nothing/Do")(b"")
        assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_and_reflection_are_open(edge_channel: grpc.aio.Channel, mesh_channel: grpc.aio.Channel) -> None:
    channel: Any  # the stubs of these two packages know the synchronous API only
    for channel in (edge_channel, mesh_channel):
        checks: Any = health_pb2_grpc.HealthStub(channel)
        answer = await checks.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        mirror: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = mirror.ServerReflectionInfo(asked)
        found = await call.read()
        assert "parley.identity.v1.AuthService" in [service.name for service in found.list_services_response.service]
        call.cancel()


async def test_grpc_web(edge: httpx.AsyncClient) -> None:
    message = auth_service_pb2.LoginRequest(login="ada").SerializeToString()
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    response = await edge.post("/parley.identity.v1.AuthService/Login", content=frame, headers=headers)
    assert response.status_code == 200
    length = int.from_bytes(response.content[1:5], "big")
    assert auth_service_pb2.LoginResponse.FromString(response.content[5 : 5 + length]).access_token == "ada"
    assert b"grpc-status:0" in response.content[5 + length :]
    text = headers | {"content-type": "application/grpc-web-text", "accept": "application/grpc-web-text"}
    response = await edge.post("/parley.identity.v1.AuthService/Login", content=base64.b64encode(frame), headers=text)
    assert base64.b64decode(response.content[: len(response.content) // 4 * 4])[:1] == b"\0"


async def test_grpc_web_without_a_token_is_unauthenticated(edge: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    response = await edge.post("/parley.identity.v1.AuthService/GetMe", content=b"\0\0\0\0\0", headers=headers)
    assert response.headers.get("grpc-status") == "16" or b"grpc-status:16" in response.content
