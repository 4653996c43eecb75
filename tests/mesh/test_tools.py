"""Somebody registers tools, tries them out, and decides about the calls that need a person."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.acceptance.tools.servers import Seen, mcp_server, serving, web
from tests.support.callers import Edge, Person, edge_of, eventually, refusal
from tests.support.running_mesh import running_mesh
from tests.support.stores import free_port


@pytest.fixture(scope="module")
def ports() -> list[int]:
    """The ports of the tools' servers: the house must know them before it starts."""
    return [free_port(), free_port()]


@pytest.fixture(scope="module")
async def house(ports: list[int], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    """A house whose tools may reach two ports of this machine."""
    exceptions = json.dumps([f"127.0.0.1:{port}" for port in ports])
    with running_mesh(tmp_path_factory.mktemp("tools"), tools_egress_exceptions=exceptions) as mesh:
        async with edge_of(mesh.url) as edge:
            yield edge


@pytest.fixture
async def ann(house: Edge) -> Person:
    """Somebody new in that house."""
    return await house.register()


async def ended(person: Person, call_id: str) -> dict[str, object]:
    """Return a call once it has ended."""
    call: dict[str, object] = {}

    async def has_ended() -> bool:
        call.update(await person.get(f"/api/v1/tool-calls/{call_id}"))
        return "endTime" in call and call["endTime"] is not None

    await eventually(has_ended, seconds=20, what="the end of the call")
    return call


async def test_a_tool_is_registered_tried_changed_and_deleted(house: Edge, ann: Person, ports: list[int]) -> None:
    seen = Seen()
    async with serving(web(seen), ports[0]):
        schema = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
        source = {"method": "POST", "url": f"http://127.0.0.1:{ports[0]}/order"}
        tool = await ann.post("/api/v1/tools", tool={"name": "order", "argumentsSchema": schema, "http": source})
        call = await ann.post(f"/api/v1/tools/{tool['id']}:invoke", arguments='{"n": 1}')
        assert (call["state"], call["result"]) == ("TOOL_CALL_STATE_SUCCEEDED", "seen 1")
        assert seen.requests[0][2]["idempotency-key"] == call["id"]
        wrong = await ann.ask("POST", f"/api/v1/tools/{tool['id']}:invoke", json={"arguments": '{"n": "x"}'})
        refusal(wrong, 400, 3, field="arguments", reason="ARGUMENTS_INVALID")
    assert (await ann.get("/api/v1/tool-calls"))["calls"] == [await ann.get(f"/api/v1/tool-calls/{call['id']}")]
    stranger = await house.register()
    refusal(await stranger.ask("GET", f"/api/v1/tools/{tool['id']}"), 404, 5, reason="TOOL_NOT_FOUND")
    refusal(await stranger.ask("GET", f"/api/v1/tool-calls/{call['id']}"), 404, 5, reason="CALL_NOT_FOUND")
    changed = await ann.ask("PATCH", f"/api/v1/tools/{tool['id']}", json={"retries": 2})
    assert changed.json()["retries"] == 2
    assert (await ann.get(f"/api/v1/tools/{tool['id']}"))["etag"] == '"2"'
    assert len((await ann.get("/api/v1/tools"))["tools"]) == 1
    await ann.delete(f"/api/v1/tools/{tool['id']}")
    assert (await ann.get("/api/v1/tools"))["tools"] == []


async def test_a_tool_cannot_lead_into_the_house(ann: Person) -> None:
    for url in ("http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:6379/", "http://localhost/"):
        refused = await ann.ask(
            "POST", "/api/v1/tools", json={"tool": {"name": "inward", "http": {"method": "GET", "url": url}}}
        )
        refusal(refused, 400, 3, reason="EGRESS_REFUSED")


async def test_a_person_approves_one_call_and_denies_another(ann: Person, ports: list[int]) -> None:
    seen = Seen()
    source = {"method": "POST", "url": f"http://127.0.0.1:{ports[0]}/order"}
    tool = await ann.post("/api/v1/tools", tool={"name": "pay", "http": source, "needsApproval": True})
    async with serving(web(seen), ports[0]):
        calls = [await ann.post(f"/api/v1/tools/{tool['id']}:invoke") for _ in range(2)]
        assert {call["state"] for call in calls} == {"TOOL_CALL_STATE_WAITING_FOR_APPROVAL"}
        pending = (await ann.get("/api/v1/tool-calls:pendingApprovals"))["calls"]
        assert [one["id"] for one in pending] == [calls[1]["id"], calls[0]["id"]]
        await ann.post(f"/api/v1/tool-calls/{calls[0]['id']}:approve")
        denied = await ann.post(f"/api/v1/tool-calls/{calls[1]['id']}:deny", reason="too dear")
        assert (denied["state"], denied["error"]["message"]) == ("TOOL_CALL_STATE_DENIED", "too dear")
        again = await ann.ask("POST", f"/api/v1/tool-calls/{calls[1]['id']}:approve", json={})
        refusal(again, 400, 9, reason="NOT_WAITING")
        assert (await ended(ann, calls[0]["id"]))["result"] == "seen 1"
    assert len(seen.requests) == 1


async def test_tools_come_from_documents_and_mcp_servers(ann: Person, ports: list[int]) -> None:
    document = {"openapi": "3.1.0", "paths": {"/pets/{id}": {"get": {"operationId": "getPet", "parameters": [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]}}}}  # fmt: skip
    server_url = f"http://127.0.0.1:{ports[0]}"
    made = await ann.post("/api/v1/tools:importOpenApi", document=json.dumps(document), serverUrl=server_url)
    assert [tool["name"] for tool in made["tools"]] == ["getPet"]
    async with serving(mcp_server().streamable_http_app(), ports[1]):
        server = {"url": f"http://127.0.0.1:{ports[1]}/mcp"}
        made = await ann.post("/api/v1/tools:importMcp", server=server, tools=["forecast"])
        call = await ann.post(f"/api/v1/tools/{made['tools'][0]['id']}:invoke", arguments='{"city": "Huế"}')
    assert json.loads(call["result"])["sky"] == "blue"
    refused = await ann.ask("POST", "/api/v1/tools:importMcp", json={"server": server})
    refusal(refused, 400, 9, reason="SERVER_UNUSABLE")
