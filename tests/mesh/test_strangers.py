"""Nobody reaches what belongs to somebody else: walked over the descriptors, so that a new RPC is held to it."""

import json
import re
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from parley.access.v1 import access_pb2

from tests.mesh import contract
from tests.support.callers import Edge, Person, refusal

Metadata = tuple[tuple[str, str], ...]

OWNED = {"conversation_id", "session_id"}
METHODS = [
    method
    for method in contract.methods()
    if OWNED & set(method.input_type.fields_by_name) and contract.level(method) != access_pb2.LEVEL_SERVICE
]
ROUTES = [(method, route) for method in METHODS for route in contract.routes(method)]
PRIVATE = [
    method
    for method in contract.methods()
    if contract.level(method) in (access_pb2.LEVEL_SIGNED_IN, access_pb2.LEVEL_ROLES)
]


@dataclass(frozen=True)
class Belongings:
    """What Bob has."""

    owner: Person
    conversation: str
    ids: dict[str, str]


@pytest.fixture(scope="module")
async def bobs(edge: Edge) -> Belongings:
    """A conversation of somebody else, with an answer in it."""
    bob = await edge.register()
    conversation = await bob.open_conversation(title="Private")
    run = await bob.say(conversation, "a secret")
    await bob.hear(run)
    conversation_id = conversation.rpartition("/")[2]
    message_id = (await bob.get(f"{conversation}/messages"))["messages"][0]["id"]
    ids = {"conversation_id": conversation_id, "session_id": conversation_id, "run_id": run.rpartition("/")[2]}
    ids["message_id"] = message_id
    return Belongings(bob, conversation, ids)


async def call(channel: Any, method: MethodDescriptor, ids: dict[str, str], metadata: Metadata) -> None:
    """Call an RPC with the ids and wait for its (first) answer."""
    request = contract.request(method, **ids).SerializeToString()
    if method.server_streaming:
        await channel.unary_stream(contract.path(method))(request, metadata=metadata).read()
    else:
        await channel.unary_unary(contract.path(method))(request, metadata=metadata)


def test_the_walk_finds_them() -> None:
    assert len(METHODS) >= 10
    assert "RunService.StreamRun" in map(contract.name, METHODS)
    assert "ChatService.Chat" in map(contract.name, METHODS)


@pytest.mark.parametrize("method", METHODS, ids=contract.name)
async def test_a_strangers_call_finds_nothing(
    edge: Edge, stranger: Person, bobs: Belongings, method: MethodDescriptor
) -> None:
    before = await bobs.owner.get(f"{bobs.conversation}/messages")
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call(edge.channel, method, bobs.ids, stranger.metadata)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND, failure.value
    assert "secret" not in str(failure.value.details())
    assert await bobs.owner.get(f"{bobs.conversation}/messages") == before
    assert (await bobs.owner.get(bobs.conversation))["title"] == "Private"


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=[f"{r.method} {r.template}" for _, r in ROUTES])
async def test_a_strangers_request_finds_nothing(
    stranger: Person, bobs: Belongings, method: MethodDescriptor, route: contract.Route
) -> None:
    body = json_format.MessageToDict(contract.request(method, **bobs.ids))
    path = re.sub(r"\{([a-z_]+)\}", lambda match: bobs.ids[match[1]], route.template)
    content = body.get("conversation", body) if route.method not in ("GET", "DELETE") else None
    response = await stranger.ask(route.method, path, json=content)
    # The same answer as for an id that nobody has: whether Bob has it, is not told.
    unknown_id = "0198b6d4-0000-7000-8000-000000000000"
    swapped = json.loads(json.dumps([path, content]).replace(bobs.ids["conversation_id"], unknown_id))
    unknown = await stranger.ask(route.method, swapped[0], json=swapped[1])
    assert response.text.replace(bobs.ids["conversation_id"], unknown_id) == unknown.text
    if method.server_streaming:
        assert (response.status_code, response.json()["error"]["code"]) == (404, 5)
    else:
        refusal(response, 404, 5)


@pytest.mark.parametrize("method", PRIVATE, ids=contract.name)
async def test_nobody_calls_without_a_token(edge: Edge, bobs: Belongings, method: MethodDescriptor) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call(edge.channel, method, bobs.ids, ())
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
    for route in contract.routes(method):
        path = re.sub(r"\{([a-z_]+)\}", bobs.ids["run_id"], route.template)
        refusal(await edge.http.request(route.method, path), 401, 16)
