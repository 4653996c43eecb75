"""One of several gRPC servers of a capability, as a process of its own; `python -m tests.deploy.replica PORT NAME`.

`Login` answers with its name, waits for ever when the login is `wait`, and refuses with UNAVAILABLE while the file
`NAME.sick` is in the working directory.
"""

import asyncio
import os
import sys
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc


class Auth(auth_service_pb2_grpc.AuthServiceServicer):
    """Answers Login only."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def Login(self, request: auth_service_pb2.LoginRequest, context: Any) -> auth_service_pb2.LoginResponse:
        """Answer with the replica's name as the token."""
        if request.login == "wait":
            await asyncio.Event().wait()
        if os.path.exists(f"{self._name}.sick"):  # noqa: ASYNC240, PTH110 - a file of this machine
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{self._name} is sick")
        return auth_service_pb2.LoginResponse(access_token=self._name)


async def main(port: int, name: str) -> None:
    """Serve until killed."""
    server = grpc.aio.server()
    auth = Auth(name)  # type: ignore[abstract] # it answers the RPC that the tests call
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(auth, server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
