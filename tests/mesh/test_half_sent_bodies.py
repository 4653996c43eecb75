"""Somebody begins large requests and never ends them: nobody's memory grows with what he announces."""

import grpc
import psutil
import pytest
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc

from tests.support.callers import Edge, Person
from tests.support.half_sent import MIB, HalfSent, held_open_h1, held_open_h2, ways
from tests.support.running_mesh import RunningMesh

PARTS = ("envoy", "services", "rest", "websocket")
LOGIN, IMPORT, SEND = "/api/v1/auth/login", "/api/v1/tools:importOpenApi", "/api/v1/chat/conversations/c/messages"
KEY = (("authorization", f"Bearer pk_{'0' * 10}_{'a' * 43}"),)
RPC = "/parley.identity.v1.AuthService/Login"
IMPORT_RPC = "/parley.tools.v1.ToolService/ImportOpenApi"
MIRROR = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

WITHOUT_TOKEN = [
    HalfSent(RPC, is_grpc=True),
    HalfSent("/grpc.health.v1.Health/Watch", is_grpc=True),
    HalfSent(MIRROR, is_grpc=True),
    HalfSent(IMPORT_RPC, is_grpc=True, headers=KEY),
    HalfSent(LOGIN),
    HalfSent(LOGIN, is_chunked=True),
    HalfSent("/", is_chunked=True),
    HalfSent(IMPORT, is_chunked=True, headers=KEY),
]
WITH_TOKEN = [
    HalfSent(IMPORT_RPC, is_grpc=True),
    HalfSent(IMPORT_RPC, is_grpc=True, announced=4 * MIB, sent=3 * MIB),
    HalfSent(SEND, is_chunked=True),
    HalfSent(IMPORT, is_chunked=True),
]


def memory(mesh: RunningMesh) -> dict[str, float]:
    """Return what each part takes, in MiB, its share of shared pages included."""
    processes = {name: psutil.Process(mesh.pid(name)) for name in PARTS}
    return {name: process.memory_full_info().pss / MIB for name, process in processes.items()}


async def growth(mesh: RunningMesh, edge: Edge, request: HalfSent, *, is_h1: bool) -> float:
    """Return by how much the parts have grown while somebody holds his requests open; the others are served."""
    host, _, port = mesh.address.rpartition(":")
    before = memory(mesh)
    opened = held_open_h1 if is_h1 else held_open_h2
    async with opened(host, int(port), request):
        grown = {name: size - before[name] for name, size in memory(mesh).items()}
        assert (await edge.http.get("/health")).status_code == 200

    return sum(grown.values())


@pytest.mark.parametrize(("request_", "is_h1"), ways(WITHOUT_TOKEN))
async def test_a_stranger_holds_little(mesh: RunningMesh, edge: Edge, request_: HalfSent, is_h1: bool) -> None:
    assert await growth(mesh, edge, request_, is_h1=is_h1) < 100


@pytest.mark.parametrize(("request_", "is_h1"), ways(WITH_TOKEN))
async def test_somebody_who_is_signed_in_holds_little_more(
    mesh: RunningMesh, edge: Edge, stranger: Person, request_: HalfSent, is_h1: bool
) -> None:
    shown = HalfSent(**{**vars(request_), "headers": tuple(stranger.headers.items())})
    assert await growth(mesh, edge, shown, is_h1=is_h1) < 220


async def test_nobody_makes_a_small_message_large(edge: Edge) -> None:
    login = auth_service_pb2.LoginRequest(login="a" * MIB)
    stub = auth_service_pb2_grpc.AuthServiceStub(edge.channel)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.Login(login, compression=grpc.Compression.Gzip)
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
