"""The edge as browsers' gRPC clients see it: gRPC-Web over HTTP/1.1."""

import httpx
from google.protobuf.message import Message
from parley.conversations.v1 import run_service_pb2 as runs
from parley.identity.v1 import auth_service_pb2 as auth

from tests.support.callers import Edge, Person


async def test_grpc_web(edge: Edge, ada: Person) -> None:
    response = await _grpc_web(edge, "AuthService/GetMe", auth.GetMeRequest(), ada.headers)
    assert response.status_code == 200
    length = int.from_bytes(response.content[1:5], "big")
    assert auth.GetMeResponse.FromString(response.content[5 : 5 + length]).user.id == ada.id
    assert response.content[5 + length] == 0x80
    assert b"grpc-status:0" in response.content[5 + length :]


async def test_grpc_web_without_a_token(edge: Edge) -> None:
    response = await _grpc_web(edge, "AuthService/GetMe", auth.GetMeRequest(), {})
    # A gRPC-Web client makes UNAUTHENTICATED of either.
    assert response.headers.get("grpc-status", "") == "16" or response.status_code == 401


async def test_grpc_web_streams(edge: Edge, ada: Person) -> None:
    run = await ada.say(await ada.open_conversation(), "hello")
    conversation_id, _, run_id = run.removeprefix("/api/v1/chat/conversations/").split("/")
    request = runs.StreamRunRequest(conversation_id=conversation_id, run_id=run_id)
    response = await _grpc_web(edge, "RunService/StreamRun", request, ada.headers, "conversations")
    content, sequences = response.content, []
    while content[0] == 0:
        length = int.from_bytes(content[1:5], "big")
        sequences.append(runs.StreamRunResponse.FromString(content[5 : 5 + length]).sequence)
        content = content[5 + length :]
    assert sequences == [1, 2, 3, 4, 5]
    assert b"grpc-status:0" in content


async def _grpc_web(
    edge: Edge, rpc: str, request: Message, headers: dict[str, str], capability: str = "identity"
) -> httpx.Response:
    message = request.SerializeToString()
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    kind = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    return await edge.http.post(f"/parley.{capability}.v1.{rpc}", content=frame, headers=kind | headers)
