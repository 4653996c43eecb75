"""Tools are registered for their owner, one by one or from an OpenAPI document or an MCP server."""

import json
from dataclasses import replace

import pytest
import yaml
from mcp.server.mcpserver import MCPServer

from services.chassis.errors import InvalidFields
from services.chassis.identifiers import new_id
from services.chassis.owners import Who
from services.tools.backends.egress_guard import EgressGuard
from services.tools.backends.mcp_caller import McpCaller
from services.tools.backends.openapi_documents import OpenApiDocuments
from services.tools.errors import (
    DocumentInvalid,
    EgressRefused,
    EtagMismatch,
    RequestIdReused,
    SchemaInvalid,
    ServerUnusable,
    SourceInvalid,
    ToolNameTaken,
    ToolNotFound,
)
from services.tools.operations.import_tools import ImportTools
from services.tools.rules import CallState, GrpcSource, HttpSource, McpSource, SecretHeader, Source, Tool
from tests.acceptance.tools.conftest import ANY, NO_ID, House
from tests.acceptance.tools.servers import mcp_server, serving, weather_descriptors

DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Pets", "version": "1"},
    "paths": {
        "/pets/{petId}": {
            "parameters": [{"$ref": "#/components/parameters/petId"}],
            "get": {
                "operationId": "getPet",
                "summary": "Returns a pet.",
                "parameters": [{"name": "full", "in": "query", "schema": {"type": "boolean"}}],
            },
            "put": {
                "operationId": "putPet",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}},
                },
            },
            "delete": {"description": "Lets a pet go."},
        },
        "/pets": {"post": {"operationId": "addPet"}},
    },
    "components": {
        "parameters": {"petId": {"name": "petId", "in": "path", "required": True, "schema": {"type": "integer"}}},
        "schemas": {
            "Pet": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "kind": {"$ref": "#/components/schemas/Kind"}},
                "required": ["name"],
            },
            "Kind": {"enum": ["cat", "dog"]},
        },
    },
}


def sources(port: int) -> list[Source]:
    """Return one source of each kind."""
    return [
        HttpSource("PATCH", f"http://127.0.0.1:{port}/{{a}}", ("q",), (("X-One", "1"),)),
        GrpcSource(f"127.0.0.1:{port}", "/weather.v1.WeatherService/Tell", weather_descriptors(), plaintext=True),
        McpSource(f"http://127.0.0.1:{port}/mcp", "", "forecast"),
        McpSource("", "sums", "add"),
    ]


async def test_a_tool_comes_back_as_it_was_registered(house: House, ann: Who) -> None:
    await house.allow(ann, "key")
    for number, source in enumerate(sources(house.port)):
        takes_secrets = isinstance(source, HttpSource) or (isinstance(source, McpSource) and source.url)
        headers = (SecretHeader("X-Key", "key", "Key "),) if takes_secrets else ()
        wanted = Tool(NO_ID, f"t{number}", "does it", ANY, source, headers, True, True, 7, 2)
        made = await house.tools.create(ann, wanted, None)
        assert await house.tools.get(ann, made.tool_id) == made
        assert replace(made, tool_id=NO_ID, created_at=None, updated_at=None) == wanted


async def test_lists_leave_descriptors_in_the_database(house: House, ann: Who) -> None:
    source = GrpcSource(f"127.0.0.1:{house.port}", "/weather.v1.WeatherService/Tell", weather_descriptors(), True)
    made = await house.tools.create(ann, Tool(NO_ID, "tell", "", ANY, source), None)
    listed = replace(made, source=replace(source, descriptor_set=b""))
    assert (await house.tools.page(ann, 1_000, ""))[0] == [listed]
    assert await house.tools.describe([made.tool_id], ann.user_id, "") == [listed]
    assert await house.tools.get(ann, made.tool_id) == made


async def test_what_cannot_be_used_is_refused(house: House, ann: Who) -> None:
    good = Tool(NO_ID, "good", "", ANY, HttpSource("GET", f"http://127.0.0.1:{house.port}/"))
    wrong = {
        InvalidFields: replace(good, name=""),
        SchemaInvalid: replace(good, arguments_schema="[]"),
        SourceInvalid: replace(good, source=HttpSource("", "")),
        EgressRefused: replace(good, source=HttpSource("GET", "http://169.254.169.254/")),
    }
    for error, tool in wrong.items():
        with pytest.raises(error):
            await house.tools.create(ann, tool, None)
    assert (await house.tools.page(ann, 0, ""))[0] == []


async def test_names_are_unique_for_an_owner_and_retries_make_one(house: House, ann: Who, bob: Who) -> None:
    tool = await house.tool(ann, "/a")
    same = replace(tool, tool_id=NO_ID)
    with pytest.raises(ToolNameTaken):
        await house.tools.create(ann, same, None)
    await house.tools.create(bob, same, None)
    request_id = new_id()
    first = await house.tools.create(ann, replace(same, name="once"), request_id)
    assert (await house.tools.create(ann, replace(same, name="once"), request_id)).tool_id == first.tool_id
    with pytest.raises(RequestIdReused):
        await house.tools.create(ann, replace(same, name="twice"), request_id)


async def test_a_tool_is_changed_by_its_owner_who_read_it(house: House, ann: Who, bob: Who) -> None:
    tool = await house.tool(ann, "/a")
    changed = await house.tools.update(ann, replace(tool, retries=2), ["retries"], [], '"1"')
    assert (changed.retries, changed.revision) == (2, 2)
    with pytest.raises(EtagMismatch):
        await house.tools.update(ann, replace(tool, retries=3), ["retries"], [], '"1"')
    inward = replace(tool, source=HttpSource("GET", "http://10.0.0.1/"))
    with pytest.raises(EgressRefused):
        await house.tools.update(ann, inward, ["http"], [], "")
    for attempt in (
        house.tools.update(bob, tool, ["retries"], [], ""),
        house.tools.delete(bob, tool.tool_id),
        house.tools.get(bob, tool.tool_id),
    ):
        with pytest.raises(ToolNotFound):
            await attempt
    described = await house.tools.describe([new_id(), tool.tool_id, tool.tool_id], ann.user_id, "")
    assert [one.tool_id for one in described] == [tool.tool_id]
    assert await house.tools.describe([tool.tool_id], bob.user_id, "") == []
    await house.tools.delete(ann, tool.tool_id)
    (call,) = await house.request(ann, tool)
    assert (call.state, call.error_reason) == (CallState.FAILED, "TOOL_GONE")


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
async def test_operations_of_a_document_become_tools(house: House, ann: Who, write: object) -> None:
    assert callable(write)
    server = f"http://127.0.0.1:{house.port}/api/v1"
    made, skipped = await house.imports.openapi(ann, write(DOCUMENT), [], server, ())
    tools = {tool.name: tool for tool in made}
    assert skipped == []
    assert set(tools) == {"getPet", "putPet", "delete_pets_petId", "addPet"}
    assert tools["getPet"].source == HttpSource("GET", f"{server}/pets/{{petId}}", ("full",))
    assert (tools["getPet"].idempotent, tools["getPet"].needs_approval) == (True, False)
    assert (tools["addPet"].idempotent, tools["addPet"].needs_approval) == (False, True)
    assert json.loads(tools["putPet"].arguments_schema) == {
        "type": "object",
        "properties": {"petId": {"type": "integer"}, "name": {"type": "string"}, "kind": {"enum": ["cat", "dog"]}},
        "required": ["name", "petId"],
    }
    (call,) = await house.done(ann, tools["getPet"], arguments='{"petId": 7, "full": true}')
    assert call.state is CallState.SUCCEEDED
    assert house.seen.requests[0][:2] == ("GET", "/api/v1/pets/7?full=true")


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        ("{", "neither JSON nor YAML"),
        ("a: [", "neither JSON nor YAML"),
        ("swagger: '2.0'", "not an OpenAPI 3 document"),
        (json.dumps({"openapi": "3.0.0", "paths": {}}), "no operation"),
        (json.dumps({**DOCUMENT, "paths": {"/a": {"get": {"parameters": [{"$ref": "http://x/y"}]}}}}), "leads out"),
        (json.dumps({**DOCUMENT, "paths": {"/a": {"get": {"parameters": [{"$ref": "#/no"}]}}}}), "leads nowhere"),
        (
            json.dumps(
                {
                    **DOCUMENT,
                    "paths": {"/a": {"get": {"parameters": [{"$ref": "#/components/schemas/Loop"}]}}},
                    "components": {"schemas": {"Loop": {"$ref": "#/components/schemas/Loop"}}},
                }
            ),
            "too deep",
        ),
        (json.dumps({**DOCUMENT, "paths": {"/a": []}}), "no operation|not as OpenAPI"),
        ("openapi: '3.0'\na: &a [*a]\n", "the alias a stands in what it stands for"),
        ("!!python/object/apply:os.system ['true']", "neither JSON nor YAML"),
    ],
)
async def test_a_document_that_cannot_be_used_is_refused(house: House, ann: Who, document: str, cause: str) -> None:
    with pytest.raises(DocumentInvalid, match=cause):
        await house.imports.openapi(ann, document, [], f"http://127.0.0.1:{house.port}", ())


async def test_all_of_a_document_is_taken_or_nothing(house: House, ann: Who) -> None:
    server = f"http://127.0.0.1:{house.port}"
    document = json.dumps(DOCUMENT)
    with pytest.raises(DocumentInvalid, match="no operation walkPet"):
        await house.imports.openapi(ann, document, ["getPet", "walkPet"], server, ())
    with pytest.raises(DocumentInvalid, match="server_url"):
        await house.imports.openapi(ann, document, ["getPet"], "", ())
    with pytest.raises(EgressRefused):
        await house.imports.openapi(ann, document, ["getPet"], "http://127.0.0.1:1", ())
    other = Tool(NO_ID, "putPet", "", ANY, HttpSource("PUT", f"{server}/other"))
    await house.tools.create(ann, other, None)
    with pytest.raises(ToolNameTaken):
        await house.imports.openapi(ann, document, [], server, ())
    assert [tool.name for tool in (await house.tools.page(ann, 0, ""))[0]] == ["putPet"]


async def test_a_second_import_of_a_document_takes_what_is_new(house: House, ann: Who) -> None:
    server = f"http://127.0.0.1:{house.port}"
    (first,), _ = await house.imports.openapi(ann, json.dumps(DOCUMENT), ["putPet"], server, ())
    decided = replace(first, name="savePet", needs_approval=False, retries=3)
    await house.tools.update(ann, decided, ["name", "needs_approval", "retries"], [], "")
    everything, _ = await house.imports.openapi(ann, json.dumps(DOCUMENT), [], server, ())
    again, _ = await house.imports.openapi(ann, json.dumps(DOCUMENT), [], server, ())
    assert again == everything
    assert len((await house.tools.page(ann, 0, ""))[0]) == 4
    (kept,) = [tool for tool in again if tool.tool_id == first.tool_id]
    assert (kept.name, kept.needs_approval, kept.retries, kept.revision) == ("savePet", False, 3, 2)
    described = {**DOCUMENT, "paths": {"/pets": {"post": {"operationId": "addPet", "summary": "Adds a pet."}}}}
    (renewed,), _ = await house.imports.openapi(ann, json.dumps(described), [], server, ())
    assert (renewed.description, renewed.revision) == ("Adds a pet.", 2)


async def test_tools_of_an_mcp_server_are_registered(house: House, ann: Who) -> None:
    async with serving(mcp_server().streamable_http_app()) as port:
        guard = EgressGuard([80, 443], [f"127.0.0.1:{port}"])
        tools = replace(house.tools, egress=guard)
        imports = ImportTools(
            tools, OpenApiDocuments(house.sandbox), McpCaller(guard, 100_000, {}), house.secrets, guard
        )
        server = McpSource(f"http://127.0.0.1:{port}/mcp", "", "")
        made = {tool.name: tool for tool in await imports.mcp(ann, server, ["forecast", "order.umbrella"], ())}
        assert set(made) == {"forecast", "order_umbrella"}
        assert made["order_umbrella"].source == replace(server, tool="order.umbrella")
        assert (made["forecast"].needs_approval, made["order_umbrella"].needs_approval) == (False, True)
        with pytest.raises(ServerUnusable, match="no tool sunshine"):
            await imports.mcp(ann, server, ["sunshine"], ())
    with pytest.raises(ServerUnusable, match="cannot be reached"):
        await imports.mcp(ann, server, [], ())


async def test_an_mcp_server_of_too_many_tools_is_refused(house: House, ann: Who) -> None:
    server = MCPServer("many")
    for number in range(501):
        server.add_tool(lambda: "done", name=f"tool{number}")
    async with serving(server.streamable_http_app()) as port:
        guard = EgressGuard([80, 443], [f"127.0.0.1:{port}"])
        imports = replace(house.imports, servers=McpCaller(guard, 1_000_000, {}), egress=guard)
        imports = replace(imports, tools=replace(house.tools, egress=guard))
        source = McpSource(f"http://127.0.0.1:{port}/mcp", "", "")
        with pytest.raises(ServerUnusable, match="501 tools"):
            await imports.mcp(ann, source, [], ())
        assert len(await imports.mcp(ann, source, ["tool500", "tool7"], ())) == 2
