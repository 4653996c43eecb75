"""Who may call what: every role against every RPC of the contract, through the whole house. A new RPC is held to it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from parley.access.v1 import access_pb2

from services.chassis.remote_errors import reason_of
from tests.mesh import contract
from tests.mesh.forger import Forger
from tests.support.callers import Edge, Person, grpc_bearer
from tests.support.mailbox import verify
from tests.support.running_mesh import RunningMesh

Metadata = tuple[tuple[str, str], ...]

KEY_SCOPE = "conversations.read"
# What the forger's service token says: see tests/mesh/forger.py.
SERVICE = "conversations"
ROLES = ("anonymous", "user", "admin", "operator", "auditor", "API key", "service at the edge", "service in the mesh")
METHODS = contract.methods()
PATIENCE_SECONDS = 3.0
# They end the sessions of who calls.
FAREWELLS = {"AuthService.Logout", "AuthService.LogoutEverywhere"}
REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


@dataclass(frozen=True)
class Callers:
    """Somebody in each role."""

    edge: Edge
    mesh: grpc.aio.Channel
    people: dict[str, Person]
    key: Metadata
    service: Metadata

    async def metadata(self, role: str, method: MethodDescriptor) -> Metadata:
        """Return what shows the role; somebody new for a call that ends the sessions."""
        if role == "anonymous":
            return ()
        if role == "API key":
            return self.key
        if role not in self.people:
            return self.service
        farewell = contract.name(method) in FAREWELLS
        return (await somebody(self.edge, self.people["admin"], role) if farewell else self.people[role]).metadata


async def somebody(edge: Edge, admin: Person, role: str) -> Person:
    """Return somebody new with a role."""
    person = await edge.register()
    if role == "user":
        return person
    await admin.post(f"/api/v1/admin/users/{person.id}/roles", role=role)
    return await edge.person(person.user["email"])


@pytest.fixture(scope="module")
async def callers(mesh: RunningMesh, edge: Edge, admin: Person) -> AsyncIterator[Callers]:
    """One caller for each role."""
    people = {role: await somebody(edge, admin, role) for role in ("user", "admin", "operator", "auditor")}
    await verify(people["user"], mesh.home)
    key = (await people["user"].post("/api/v1/api-keys", name="matrix", scopes=[KEY_SCOPE]))["secret"]
    port = json.loads((mesh.home / "run" / "ports.json").read_text())["mesh"]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Callers(edge, channel, people, grpc_bearer(key), grpc_bearer(Forger(mesh).service()))


def is_admitted(method: MethodDescriptor, role: str, roles: set[str]) -> bool:
    """Say what the contract's access rule says."""
    rule = method.GetOptions().Extensions[access_pb2.access]
    if rule.level == access_pb2.LEVEL_PUBLIC:
        return True
    if role == "API key":
        return bool(rule.scope == KEY_SCOPE and rule.level == access_pb2.LEVEL_SIGNED_IN)
    if rule.level == access_pb2.LEVEL_SERVICE:
        return role == "service in the mesh" and (not rule.services or SERVICE in rule.services)
    if rule.level == access_pb2.LEVEL_ROLES:
        return bool(roles & set(rule.roles))
    return bool(roles)


async def attempt(
    channel: Any, method: MethodDescriptor, request: bytes, metadata: Metadata
) -> grpc.aio.AioRpcError | bytes:
    """Call an RPC and return its failure or its first answer."""
    shape = "stream" if method.client_streaming else "unary"
    call = getattr(channel, f"{shape}_{'stream' if method.server_streaming else 'unary'}")(contract.path(method))
    # Of a client's stream nothing is sent: the rule is checked before the first message.
    asked = call(*([] if method.client_streaming else [request]), metadata=metadata, timeout=PATIENCE_SECONDS)
    try:
        if method.client_streaming:
            await asked.done_writing()
        answer = await (asked.read() if method.server_streaming else asked)
    except grpc.aio.AioRpcError as failure:
        return failure
    finally:
        asked.cancel()
    return answer if isinstance(answer, bytes) else b""


def is_by_rule(outcome: grpc.aio.AioRpcError | bytes) -> bool:
    """Say whether the access rule refused; an operation that refuses has reasons of its own."""
    if isinstance(outcome, bytes):
        return False
    return outcome.code() in REFUSED and reason_of(outcome) in {"UNAUTHENTICATED", "PERMISSION_DENIED", ""}


def test_the_matrix_is_not_empty() -> None:
    assert len(METHODS) > 50
    assert {contract.level(method) for method in METHODS} == {1, 2, 3, 4}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", METHODS, ids=contract.name)
async def test_a_role_may_call_what_the_contract_says(callers: Callers, method: MethodDescriptor, role: str) -> None:
    channel = callers.mesh if role == "service in the mesh" else callers.edge.channel
    # An empty request does no harm where it is let in, and is not looked at where it is not.
    failure = await attempt(channel, method, b"", await callers.metadata(role, method))
    roles = set(callers.people[role].user["roles"]) if role in callers.people else set()
    if is_admitted(method, role, roles):
        assert not is_by_rule(failure), failure
    else:
        hidden = contract.level(method) == access_pb2.LEVEL_SERVICE and role != "service in the mesh"
        refused = {grpc.StatusCode.UNIMPLEMENTED, *REFUSED} if hidden else REFUSED
        assert isinstance(failure, grpc.aio.AioRpcError), "it was let in"
        assert failure.code() in refused, failure


@dataclass(frozen=True)
class Belongings:
    """What somebody in another organisation has."""

    owner: Person
    ids: dict[str, str]

    async def all(self) -> list[Any]:
        """Return everything as its owner sees it."""
        organization, conversation = self.ids["organization_id"], self.ids["conversation_id"]
        paths = (
            "/api/v1/auth/me",
            "/api/v1/auth/sessions",
            "/api/v1/api-keys",
            f"/api/v1/organizations/{organization}",
            f"/api/v1/organizations/{organization}/members",
            f"/api/v1/organizations/{organization}/invitations",
            f"/api/v1/chat/conversations/{conversation}",
            f"/api/v1/chat/conversations/{conversation}/messages",
        )
        return [await self.owner.get(path) for path in paths]


@pytest.fixture(scope="module")
async def theirs(mesh: RunningMesh, edge: Edge) -> Belongings:
    """An organisation with everything in it."""
    owner = await verify(await edge.register(), mesh.home)
    organization = await owner.post("/api/v1/organizations", name=f"School {uuid4().hex}")
    guest = f"{uuid4().hex}@example.org"
    invitation = await owner.post(f"/api/v1/organizations/{organization['id']}/invitations", email=guest)
    key = await owner.post("/api/v1/api-keys", name="ci", scopes=[KEY_SCOPE])
    (session,) = (await owner.get("/api/v1/auth/sessions"))["sessions"]
    conversation = await owner.open_conversation(title="Private")
    run = await owner.say(conversation, "a secret")
    await owner.hear(run)
    ids = {
        "organization_id": organization["id"],
        "user_id": owner.id,
        "invitation_id": invitation["id"],
        "api_key_id": key["apiKey"]["id"],
        "session_id": session["id"],
        "conversation_id": conversation.rpartition("/")[2],
        "run_id": run.rpartition("/")[2],
    }
    return Belongings(owner, ids)


@pytest.fixture(scope="module")
async def outsider(edge: Edge) -> Person:
    """The owner of another organisation."""
    person = await edge.register()
    await person.post("/api/v1/organizations", name=f"School {uuid4().hex}")
    return await edge.person(person.user["email"])


OWNED = {"organization_id", "user_id", "invitation_id", "api_key_id", "session_id", "conversation_id", "run_id"}
TARGETS = [
    method
    for method in METHODS
    if OWNED & set(method.input_type.fields_by_name)
    and contract.level(method) in (access_pb2.LEVEL_SIGNED_IN, access_pb2.LEVEL_ROLES)
    and not method.client_streaming
]


@pytest.mark.parametrize("method", TARGETS, ids=contract.name)
async def test_another_organizations_ids_open_nothing(
    edge: Edge, outsider: Person, theirs: Belongings, method: MethodDescriptor
) -> None:
    ids = theirs.ids
    if method.containing_service.file.package.startswith("parley.conversations."):
        # There a session is another name of a conversation.
        ids = ids | {"session_id": ids["conversation_id"]}
    before = await theirs.all()
    request = contract.request(method, email="x@example.org", **ids).SerializeToString()
    failure = await attempt(edge.channel, method, request, outsider.metadata)
    if isinstance(failure, bytes):
        # A list that is filtered by an id may as well be empty.
        assert method.name.startswith("List"), "it was let in"
        answer = contract.response_class(method).FromString(failure)
        assert [field.name for field, _ in answer.ListFields()] == []
    else:
        by_role = contract.level(method) == access_pb2.LEVEL_ROLES
        wanted = grpc.StatusCode.PERMISSION_DENIED if by_role else grpc.StatusCode.NOT_FOUND
        assert failure.code() is wanted, failure
    assert await theirs.all() == before
