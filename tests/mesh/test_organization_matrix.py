"""What the members of an organisation may do with what belongs to it: every role against every RPC of the contract.

A new RPC for signed-in users fails here until MANAGED or USED says which of the two it is.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from parley.access.v1 import access_pb2
from parley.identity.v1 import organization_service_pb2, organization_service_pb2_grpc

from services.chassis.remote_errors import reason_of
from tests.mesh import contract
from tests.mesh.forger import Forger
from tests.mesh.test_access_matrix import attempt
from tests.mesh.test_identity_organizations import ADMIN, MEMBER, ORGANIZATIONS, invited, joined
from tests.support.callers import Edge, Person, grpc_bearer, refusal
from tests.support.mailbox import Mailbox, verify
from tests.support.running_mesh import RunningMesh

ROLES = ("member", "admin", "owner")
SIGNED_IN = [method for method in contract.methods() if contract.level(method) == access_pb2.LEVEL_SIGNED_IN]

MANAGED = {
    "ApplicationService": {"CreateApplication", "DeleteApplication", "UpdateApplication"},
    "BotService": {"CreateBot", "DeleteBot", "UpdateBot"},
    "PromptService": {"CreatePrompt", "DeletePrompt", "UpdatePrompt"},
    "PromptVersionService": {"CreatePromptVersion", "MovePromptLabel", "RollBackPromptLabel"},
    "ToolSecretService": {"DeleteToolSecret", "PutToolSecret"},
    "ToolService": {"CreateTool", "DeleteTool", "ImportMcp", "ImportOpenApi", "UpdateTool"},
}
"""Changes what belongs to the organisation: its administrators and owners only."""
DECIDED = {"ToolCallService": {"ApproveToolCall", "DenyToolCall"}}
"""Decides about rows of the organisation: its administrators and owners only. About rows of their own everybody does:
so the operation asks for the role."""
REQUESTED = {"ToolCallService": {"GetToolCall", "ListPendingApprovals", "ListToolCalls"}}
"""Reads what members asked for: each what they asked for themselves, administrators and owners everything."""
USED = {
    "ApplicationService": {"GetApplication", "ListApplications"},
    "BotService": {"GetBot", "ListBots", "ListChanges"},
    "PromptService": {"GetPrompt", "ListPrompts", "RenderPrompt"},
    "PromptVersionService": {"DiffPromptVersions", "GetPromptVersion", "ListPromptLabels", "ListPromptVersions"},
    "ToolCallService": {"InvokeTool"},
    "ToolSecretService": {"GetToolSecret", "ListToolSecrets"},
    "ToolService": {"GetTool", "ListTools"},
}
"""Reads or uses what belongs to the organisation: every member."""
PERSONAL = {
    *("ApiKeyService", "AuthService", "ChatService", "ConversationService", "MessageService", "ModelService"),
    *("OrganizationService", "RunService", "UserService"),
}
"""Services of what belongs to each person alone. OrganizationService names the organisation itself, and looks at the
role in it: tests/mesh/test_identity_organizations.py."""


@dataclass(frozen=True)
class School:
    """An organisation, one of each role in it, and what belongs to it."""

    path: str
    people: dict[str, Person]
    ids: dict[str, str]

    async def belongings(self) -> list[Any]:
        """Return everything that belongs to it."""
        kinds = ("tools", "tool-calls", "tool-secrets", "bots", "prompts", "applications", "bots:changes")
        owner = self.people["owner"]
        labels = f"/api/v1/prompts/{self.ids['prompt_id']}/labels"
        return [await owner.get(f"/api/v1/{kind}") for kind in kinds] + [await owner.get(labels)]


@pytest.fixture(scope="module")
def mailbox(mesh: RunningMesh) -> Mailbox:
    """The mails of the house."""
    return Mailbox(mesh.home)


async def founded(edge: Edge, mailbox: Mailbox) -> tuple[str, dict[str, Person]]:
    """Return the path of a new organisation, and somebody in each role, signed in for it."""
    owner = await verify(await edge.register(), mailbox.home)
    made = await owner.post(ORGANIZATIONS, name=f"School {uuid4().hex}")
    path = f"{ORGANIZATIONS}/{made['id']}"
    people = {"owner": owner}
    for name, role in (("admin", ADMIN), ("member", MEMBER)):
        people[name] = await invited(edge, mailbox, path, owner, role)
    return path, {name: await edge.person(person.user["email"]) for name, person in people.items()}


async def furnished(person: Person) -> dict[str, str]:
    """Make one of everything for whom somebody acts, and return the ids."""
    name = f"pay_{uuid4().hex[:8]}"
    source = {"method": "POST", "url": "https://1.1.1.1/pay"}
    tool = await person.post("/api/v1/tools", tool={"name": name, "http": source, "needsApproval": True})
    call = await person.post(f"/api/v1/tools/{tool['id']}:invoke")
    assert call["state"] == "TOOL_CALL_STATE_WAITING_FOR_APPROVAL"
    prompt = await person.post("/api/v1/prompts", prompt={"name": name})
    for text in ("Hello.", "Hi."):
        await person.post(f"/api/v1/prompts/{prompt['id']}/versions", text=text)
    await person.post(f"/api/v1/prompts/{prompt['id']}/labels/production:move", version=2)
    bot = await person.post("/api/v1/bots", bot={"name": name, "promptId": prompt["id"], "toolIds": [tool["id"]]})
    application = await person.post("/api/v1/applications", application={"name": name, "botId": bot["id"]})
    secret = await person.ask("PUT", f"/api/v1/tool-secrets/{name.replace('_', '-')}", json={"hosts": ["1.1.1.1"]})
    assert secret.status_code == 200, secret.text
    return {
        "tool_id": tool["id"],
        "call_id": call["id"],
        "prompt_id": prompt["id"],
        "bot_id": bot["id"],
        "application_id": application["id"],
        "label": "production",
        "secret": secret.json()["name"],
    }


@pytest.fixture(scope="module")
async def school(edge: Edge, mailbox: Mailbox) -> School:
    """A school with everything in it."""
    path, people = await founded(edge, mailbox)
    return School(path, people, await furnished(people["owner"]))


@pytest.fixture(scope="module")
async def theirs(edge: Edge) -> dict[str, dict[str, str]]:
    """What belongs to somebody alone, and to another school."""
    loner, other = await edge.register(), await edge.register()
    await other.post(ORGANIZATIONS, name=f"School {uuid4().hex}")
    other = await edge.person(other.user["email"])
    return {"a person": await furnished(loner), "another school": await furnished(other)}


def listed(table: dict[str, set[str]]) -> list[MethodDescriptor]:
    """Return the RPCs of a table."""
    return [method for method in SIGNED_IN if method.name in table.get(method.containing_service.name, ())]


def asked(method: MethodDescriptor, ids: dict[str, str]) -> bytes:
    """Return a request for rows."""
    known = dict(ids)
    secret = known.pop("secret")
    if method.containing_service.name == "ToolSecretService":
        known["name"] = secret
    return contract.request(method, **known).SerializeToString()


def has_row(method: MethodDescriptor) -> bool:
    """Whether a request names a row that was there before."""
    named = {"tool_id", "call_id", "prompt_id", "bot_id", "application_id"} & set(method.input_type.fields_by_name)
    return bool(named) or method.name in {"GetToolSecret", "DeleteToolSecret"}


TABLES = (MANAGED, DECIDED, REQUESTED, USED)
WITH_ROWS = [method for table in TABLES for method in listed(table) if has_row(method)]
RESERVED = [*listed(MANAGED), *listed(DECIDED)]


def test_every_rpc_for_signed_in_users_says_what_members_may() -> None:
    for method in SIGNED_IN:
        service = method.containing_service.name
        places = (service in PERSONAL) + sum(method.name in table.get(service, ()) for table in TABLES)
        assert places == 1, f"{contract.name(method)} must stand in exactly one of the tables or of PERSONAL"
        wanted = access_pb2.ORGANIZATION_ROLE_ADMIN if method.name in MANAGED.get(service, ()) else 0
        assert method.GetOptions().Extensions[access_pb2.access].organization_role == wanted, contract.name(method)


def test_only_who_is_signed_in_is_asked_for_a_role_in_the_organization() -> None:
    for method in contract.methods():
        rule = method.GetOptions().Extensions[access_pb2.access]
        assert not rule.organization_role or rule.level == access_pb2.LEVEL_SIGNED_IN, contract.name(method)


@pytest.mark.parametrize("method", RESERVED, ids=contract.name)
async def test_a_member_changes_nothing_of_the_organization(
    edge: Edge, school: School, method: MethodDescriptor
) -> None:
    before = await school.belongings()
    failure = await attempt(edge.channel, method, asked(method, school.ids), school.people["member"].metadata)
    assert isinstance(failure, grpc.aio.AioRpcError), "it was let in"
    assert failure.code() is grpc.StatusCode.PERMISSION_DENIED
    assert reason_of(failure) == "PERMISSION_DENIED"
    assert "the role admin in the organization" in str(failure.details())
    assert await school.belongings() == before


@pytest.mark.parametrize("role", ["admin", "owner"])
@pytest.mark.parametrize("method", RESERVED, ids=contract.name)
async def test_who_keeps_the_organization_is_let_in(
    edge: Edge, school: School, method: MethodDescriptor, role: str
) -> None:
    # An empty request is let in and does no harm.
    outcome = await attempt(edge.channel, method, b"", school.people[role].metadata)
    assert isinstance(outcome, grpc.aio.AioRpcError)
    assert outcome.code() is grpc.StatusCode.INVALID_ARGUMENT, outcome


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", listed(USED), ids=contract.name)
async def test_every_member_reads_and_uses(edge: Edge, school: School, method: MethodDescriptor, role: str) -> None:
    outcome = await attempt(edge.channel, method, asked(method, school.ids), school.people[role].metadata)
    assert isinstance(outcome, bytes), outcome
    # A version does not differ from itself.
    assert outcome or method.name == "DiffPromptVersions"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", listed(REQUESTED), ids=contract.name)
async def test_members_see_what_they_asked_for_and_administrators_everything(
    edge: Edge, school: School, method: MethodDescriptor, role: str
) -> None:
    asker = school.people[role]
    own = (await asker.post(f"/api/v1/tools/{school.ids['tool_id']}:invoke"))["id"]
    wanted = {own: True, school.ids["call_id"]: role != "member"}
    for call_id, is_seen in wanted.items():
        request = asked(method, school.ids | {"call_id": call_id})
        outcome = await attempt(edge.channel, method, request, asker.metadata)
        if isinstance(outcome, grpc.aio.AioRpcError):
            assert (outcome.code(), is_seen) == (grpc.StatusCode.NOT_FOUND, False), outcome
        else:
            answer: Any = contract.response_class(method).FromString(outcome)
            shown = answer.calls if method.name.startswith("List") else [answer.call]
            assert (call_id in {call.id for call in shown}) == is_seen


async def test_a_request_id_shows_nobody_the_call_of_another(school: School) -> None:
    path = f"/api/v1/tools/{school.ids['tool_id']}:invoke"
    call = await school.people["owner"].post(path)
    for role in ("member", "admin"):
        again = await school.people[role].ask("POST", path, json={"requestId": call["id"]})
        refusal(again, 400, 3, field="request_id", reason="REQUEST_ID_REUSED")


async def test_who_joined_decides_about_calls_of_their_own_tools(edge: Edge, school: School, mailbox: Mailbox) -> None:
    alone = await verify(await edge.register(), mailbox.home)
    ids = await furnished(alone)
    approved, denied = ids["call_id"], (await alone.post(f"/api/v1/tools/{ids['tool_id']}:invoke"))["id"]
    member = await joined(edge, mailbox, school.path, school.people["owner"], alone, MEMBER)
    assert {approved, denied} == {call["id"] for call in (await member.get("/api/v1/tool-calls"))["calls"]}
    waiting = (await member.get("/api/v1/tool-calls:pendingApprovals"))["calls"]
    assert [call["id"] for call in waiting] == [denied, approved]
    first = await member.get("/api/v1/tool-calls", pageSize=1)
    second = await member.get("/api/v1/tool-calls", pageSize=1, pageToken=first["nextPageToken"])
    assert [first["calls"][0]["id"], second["calls"][0]["id"]] == [denied, approved]
    for role in ("owner", "admin"):
        refused = await school.people[role].ask("POST", f"/api/v1/tool-calls/{approved}:approve", json={})
        refusal(refused, 404, 5, reason="CALL_NOT_FOUND")
    assert (await member.post(f"/api/v1/tool-calls/{approved}:approve"))["decidedBy"] == alone.id
    assert (await member.post(f"/api/v1/tool-calls/{denied}:deny"))["state"] == "TOOL_CALL_STATE_DENIED"


@pytest.mark.parametrize("whose", ["a person", "another school"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", WITH_ROWS, ids=contract.name)
async def test_no_role_reaches_what_belongs_to_others(
    edge: Edge, school: School, theirs: dict[str, dict[str, str]], method: MethodDescriptor, role: str, whose: str
) -> None:
    outcome = await attempt(edge.channel, method, asked(method, theirs[whose]), school.people[role].metadata)
    if isinstance(outcome, bytes):
        assert method.name.startswith("List"), "it was let in"
        assert contract.response_class(method).FromString(outcome).ListFields() == []
        return
    reserved = method in RESERVED and role == "member"
    refused = grpc.StatusCode.PERMISSION_DENIED if reserved else grpc.StatusCode.NOT_FOUND
    assert outcome.code() is refused, outcome


async def test_services_learn_what_somebody_is_in_an_organization(mesh: RunningMesh, school: School) -> None:
    port = json.loads((mesh.home / "run" / "ports.json").read_text())["mesh"]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
        shown = grpc_bearer(Forger(mesh).service())

        async def role(organization_id: str, user_id: str) -> int:
            request = organization_service_pb2.CheckMemberRequest(organization_id=organization_id, user_id=user_id)
            return int((await stub.CheckMember(request, metadata=shown)).role)

        organization_id = school.path.rpartition("/")[2]
        found = {name: await role(organization_id, person.id) for name, person in school.people.items()}
        assert found == {"member": 1, "admin": 2, "owner": 3}
        assert await role(organization_id, str(uuid4())) == 0
        assert await role(str(uuid4()), school.people["owner"].id) == 0


async def test_nobody_sends_the_organizations_secret_elsewhere(edge: Edge, school: School) -> None:
    secret, member, admin = school.ids["secret"], school.people["member"], school.people["admin"]
    header = [{"name": "Authorization", "secret": secret, "prefix": "Bearer "}]
    stolen = {"name": "steal", "http": {"method": "GET", "url": "https://9.9.9.9/"}, "secretHeaders": header}
    refusal(await member.ask("POST", "/api/v1/tools", json={"tool": stolen}), 403, 7, reason="PERMISSION_DENIED")
    key = (await member.post("/api/v1/api-keys", name="ci", scopes=["tools.write"]))["secret"]
    shown = {"authorization": f"Bearer {key}"}
    refused = await edge.http.post("/api/v1/tools", json={"tool": stolen}, headers=shown)
    refusal(refused, 403, 7, reason="PERMISSION_DENIED")
    refused = await admin.ask("POST", "/api/v1/tools", json={"tool": stolen})
    refusal(refused, 400, 3, field="tool.secret_headers", reason="SECRET_NOT_ALLOWED")
    tool = await admin.post("/api/v1/tools", tool=stolen | {"http": {"method": "GET", "url": "https://1.1.1.1/"}})
    path = f"/api/v1/tools/{tool['id']}"
    elsewhere = {"json": {"http": {"method": "GET", "url": "https://9.9.9.9/"}}, "params": {"update_mask": "http"}}
    moved = await admin.ask("PATCH", path, **elsewhere)
    refusal(moved, 400, 3, reason="SECRET_NOT_ALLOWED")
    for importing, fields in (
        ("importMcp", {"server": {"url": "https://9.9.9.9/mcp"}}),
        (
            "importOpenApi",
            {"serverUrl": "https://9.9.9.9", "document": '{"openapi": "3.1.0", "paths": {"/": {"get": {}}}}'},
        ),
    ):
        taken = await admin.ask("POST", f"/api/v1/tools:{importing}", json=fields | {"secretHeaders": header})
        refusal(taken, 400, 3, reason="SECRET_NOT_ALLOWED")
    # No API key says where secrets go, whoever's it is.
    key = (await admin.post("/api/v1/api-keys", name="ci", scopes=["tools.write"]))["secret"]
    shown = {"authorization": f"Bearer {key}"}
    wider = await edge.http.put(f"/api/v1/tool-secrets/{secret}", json={"hosts": ["9.9.9.9"]}, headers=shown)
    refusal(wider, 403, 7, reason="PERMISSION_DENIED")
    await admin.delete(path)


async def test_who_asked_for_a_call_does_not_approve_it(edge: Edge, school: School) -> None:
    owner, admin = school.people["owner"], school.people["admin"]
    call = f"/api/v1/tool-calls/{school.ids['call_id']}"
    refusal(await owner.ask("POST", f"{call}:approve", json={}), 403, 7, reason="OWN_CALL")
    other = await owner.post(f"/api/v1/tools/{school.ids['tool_id']}:invoke")
    assert (await admin.post(f"/api/v1/tool-calls/{other['id']}:approve"))["decidedBy"] == admin.id
    # Allowing it afterwards makes another tool of it than the one that was asked for.
    name = f"free_{uuid4().hex[:8]}"
    source = {"method": "POST", "url": "https://1.1.1.1/pay"}
    tool = await owner.post("/api/v1/tools", tool={"name": name, "http": source, "needsApproval": True})
    path = f"/api/v1/tools/{tool['id']}"
    late = await owner.post(f"{path}:invoke")
    changed = await owner.ask("PATCH", path, json={"requesterMayApprove": True})
    assert changed.json()["requesterMayApprove"] is True
    refusal(await owner.ask("POST", f"/api/v1/tool-calls/{late['id']}:approve", json={}), 403, 7, reason="OWN_CALL")
    allowed = await owner.post(f"{path}:invoke")
    assert (await owner.post(f"/api/v1/tool-calls/{allowed['id']}:approve"))["decidedBy"] == owner.id
    await owner.delete(path)
    # Of a tool of one's own nobody else could.
    alone = await edge.register()
    ids = await furnished(alone)
    assert (await alone.post(f"/api/v1/tool-calls/{ids['call_id']}:approve"))["decidedBy"] == alone.id


async def test_a_role_that_was_taken_away_does_not_count_any_more(edge: Edge, mailbox: Mailbox) -> None:
    path, people = await founded(edge, mailbox)
    wanted = {"bot": {"name": "Helper"}}
    assert (await people["admin"].ask("POST", "/api/v1/bots", json=wanted)).status_code == 200
    taken = await people["owner"].ask("PATCH", f"{path}/members/{people['admin'].id}", json={"role": MEMBER})
    assert taken.status_code == 200, taken.text
    refused = await people["admin"].ask("POST", "/api/v1/bots", json=wanted)
    refusal(refused, 403, 7, reason="PERMISSION_DENIED")


async def test_a_bot_takes_no_tool_of_somebody_else(
    edge: Edge, school: School, theirs: dict[str, dict[str, str]]
) -> None:
    admin, alone = school.people["admin"], await edge.register()
    for ids in theirs.values():
        foreign = {"name": "Thief", "toolIds": [ids["tool_id"]]}
        for person in (admin, alone):
            made = await person.ask("POST", "/api/v1/bots", json={"bot": foreign})
            refusal(made, 404, 5, field="bot.tool_ids", reason="TOOL_NOT_FOUND")
        changed = await admin.ask("PATCH", f"/api/v1/bots/{school.ids['bot_id']}", json={"toolIds": foreign["toolIds"]})
        refusal(changed, 404, 5, field="bot.tool_ids", reason="TOOL_NOT_FOUND")
    # A tool that is gone since does not stand in the way of other changes.
    source = {"method": "GET", "url": "https://1.1.1.1/"}
    tool = await alone.post("/api/v1/tools", tool={"name": "look", "http": source})
    bot = await alone.post("/api/v1/bots", bot={"name": "Helper", "toolIds": [tool["id"]]})
    await alone.delete(f"/api/v1/tools/{tool['id']}")
    renamed = await alone.ask("PATCH", f"/api/v1/bots/{bot['id']}", json={"name": "Other"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Other")
