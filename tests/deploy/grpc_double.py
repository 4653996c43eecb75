"""A small gRPC server in the place of the services: some RPCs of the contract, health and reflection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc
from parley.inference.v1 import generation_service_pb2, generation_service_pb2_grpc

Context = grpc.aio.ServicerContext[object, object]


class Auth(auth_service_pb2_grpc.AuthServiceServicer):
    """Login is public, GetMe needs a token; the others are not called."""

    async def Login(self, request: auth_service_pb2.LoginRequest, context: Context) -> auth_service_pb2.LoginResponse:
        """Answer with the login as the token."""
        return auth_service_pb2.LoginResponse(access_token=request.login)

    async def GetMe(self, request: auth_service_pb2.GetMeRequest, context: Context) -> auth_service_pb2.GetMeResponse:
        """Answer with the authorization metadata as the username."""
        metadata = dict(context.invocation_metadata() or ())
        response = auth_service_pb2.GetMeResponse()
        response.user.username = str(metadata.get("authorization", ""))
        return response

    async def Register(self, request: Any, context: Context) -> NoReturn:
        """Refuse."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)

    Refresh = Logout = Register


class Generation(generation_service_pb2_grpc.GenerationServiceServicer):
    """A service for services only."""

    async def Generate(
        self, request: generation_service_pb2.GenerateRequest, context: Context
    ) -> AsyncIterator[generation_service_pb2.GenerateResponse]:
        """Answer with two parts."""
        for _ in range(2):
            yield generation_service_pb2.GenerateResponse()


@asynccontextmanager
async def running_grpc_double(port: int) -> AsyncIterator[None]:
    """Serve on the loopback port until the end of the block."""
    server = grpc.aio.server()
    auth = Auth()  # type: ignore[abstract] # it answers the RPCs that the tests call
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(auth, server)
    generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(Generation(), server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection(["parley.identity.v1.AuthService", reflection.SERVICE_NAME], server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)
