"""Somebody registers tools, tries them out, and decides about the calls that need a person."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from services.chassis.sandbox.running import Sandbox
from services.tools.backends.bounded_schemas import BoundedSchemas
from tests.acceptance.tools.servers import Seen, mcp_server, serving, web
from tests.mesh.test_websocket import connected, listen
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
    moved = await ann.ask("PATCH", f"/api/v1/tools/{tool['id']}", json={"http": {"url": source["url"] + "s"}})
    assert moved.json()["http"] == changed.json()["http"] | {"url": source["url"] + "s"}
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


async def bot_with(person: Person, *tools: str) -> str:
    """Make a bot that may use the tools, and return the path of a conversation with it."""
    bot = await person.post("/api/v1/bots", bot={"name": "Helper", "toolIds": tools})
    return await person.open_conversation(botId=bot["id"])


async def test_a_bot_calls_its_tools_and_answers_with_what_they_said(ann: Person, ports: list[int]) -> None:
    seen = Seen()
    source = {"method": "POST", "url": f"http://127.0.0.1:{ports[0]}/order"}
    tools = [
        (await ann.post("/api/v1/tools", tool={"name": name, "http": source}))["id"] for name in ("order", "count")
    ]
    async with serving(web(seen), ports[0]):
        conversation = await bot_with(ann, *tools)
        said = await ann.answer(conversation, 'Do it\ncall order {"n": 1}\ncall count\ncall nothing')
        again = await ann.answer(await bot_with(ann, tools[0]), "call order\nagain")
    assert sorted(said.removeprefix("The tools said: ").split("; ")) == ["seen 1", "seen 2"]
    assert json.loads(next(body for _, _, _, body in seen.requests if len(body) > 2)) == {"n": 1}
    calls = (await ann.get("/api/v1/tool-calls", in_conversation=conversation.rpartition("/")[2]))["calls"]
    assert {call["toolName"] for call in calls} == {"order", "count"}
    # A model that never stops asking is given no tools in the end: five rounds, then it answers.
    assert again.startswith("The tools said: ")
    assert len(seen.requests) == 2 + 5


async def test_an_answer_waits_for_a_person_and_every_face_tells_of_it(
    house: Edge, ann: Person, ports: list[int]
) -> None:
    seen = Seen()
    source = {"method": "POST", "url": f"http://127.0.0.1:{ports[0]}/order"}
    tool = await ann.post("/api/v1/tools", tool={"name": "pay", "http": source, "needsApproval": True})
    conversation = await bot_with(ann, tool["id"])
    async with serving(web(seen), ports[0]):
        for decision, answer, states in (
            ("approve", "seen 1", ["WAITING_FOR_APPROVAL", "STARTED", "SUCCEEDED"]),
            ("deny", "denied: a person denied the call", ["WAITING_FOR_APPROVAL", "DENIED"]),
        ):
            run = await ann.say(conversation, f"call pay\nto {decision}")
            pending = await one_pending(ann)
            assert pending["runId"] == run.rpartition("/")[2]
            await ann.post(f"/api/v1/tool-calls/{pending['id']}:{decision}")
            events = await ann.hear(run, sse=True)
            told = [event.data for event in events if event.kind == "tool"]
            assert {(one["id"], one["toolName"]) for one in told} == {(pending["id"], "pay")}
            assert [one["state"].removeprefix("TOOL_CALL_STATE_") for one in told] == states
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            for number in range(len(events)):
                assert await ann.hear(run, params={"after": number}) == events[number:]
            async with connected(house, ann.token) as client:
                reader = await listen(client, run)
                await reader.end()
                assert reader.events == events
            message = events[-1].data["message"]
            assert message["text"] == f"The tools said: {answer}"
            (call,) = message["toolCalls"]
            assert (call["id"], call["result"], call["round"]) == (pending["id"], answer, 1)
            listed = (await ann.get(f"{conversation}/messages"))["messages"]
            assert listed[-1] == message
            assert listed[-2]["toolCalls"] == []
    assert len(seen.requests) == 1


async def test_nobody_can_approve_a_call_of_a_run_that_was_cancelled_or_deleted(ann: Person, ports: list[int]) -> None:
    seen = Seen()
    source = {"method": "POST", "url": f"http://127.0.0.1:{ports[0]}/order"}
    tool = await ann.post("/api/v1/tools", tool={"name": "pay", "http": source, "needsApproval": True})
    async with serving(web(seen), ports[0]):
        for how in ("cancelled", "deleted"):
            conversation = await bot_with(ann, tool["id"])
            run = await ann.say(conversation, "call pay")
            pending = await one_pending(ann)
            if how == "deleted":
                await ann.delete(conversation)
            else:
                await ann.post(f"{run}:cancel")
                assert (await ann.hear(run, sse=True))[-1].kind == "cancelled"
            call = await ended(ann, pending["id"])
            assert (call["state"], call["error"]["reason"]) == ("TOOL_CALL_STATE_WITHDRAWN", "RUN_ENDED")  # type: ignore[index]
            refused = await ann.ask("POST", f"/api/v1/tool-calls/{pending['id']}:approve", json={})
            refusal(refused, 400, 9, reason="NOT_WAITING")
            assert (await ann.get("/api/v1/tool-calls:pendingApprovals"))["calls"] == []
    assert seen.requests == []


async def one_pending(person: Person) -> dict[str, str]:
    """Return the call that waits for a person, once there is one."""
    found: list[dict[str, str]] = []

    async def is_there() -> bool:
        found[:] = (await person.get("/api/v1/tool-calls:pendingApprovals"))["calls"]
        return len(found) == 1

    await eventually(is_there, seconds=20, what="a call that waits")
    return found[0]


async def test_a_bot_is_told_by_its_prompt_and_a_foreign_one_does_not_answer(house: Edge, ann: Person) -> None:
    bot = await ann.post("/api/v1/bots", bot={"name": "Helper"})
    conversation = await ann.open_conversation(botId=bot["id"])
    assert (await ann.get(conversation))["botId"] == bot["id"]
    assert await ann.answer(conversation, "hello") == "You said: hello"
    stranger = await house.register()
    foreign = await stranger.ask("POST", "/api/v1/chat/conversations", json={"botId": bot["id"]})
    refusal(foreign, 404, 5, reason="BOT_NOT_FOUND")
    prompt = await ann.post("/api/v1/prompts", prompt={"name": "Told"})
    untold = await ann.post("/api/v1/bots", bot={"name": "Untold", "promptId": prompt["id"]})
    unusable = await ann.ask("POST", "/api/v1/chat/conversations", json={"botId": untold["id"]})
    refusal(unusable, 400, 9, reason="BOT_UNUSABLE")
    await ann.delete(f"/api/v1/bots/{bot['id']}")
    last = (await ann.hear(await ann.say(conversation, "still there?")))[-1]
    assert (last.kind, last.data["error"]["reason"]) == ("failed", "BOT_NOT_FOUND")


async def test_a_private_conversation_leaves_nothing_with_tools(ann: Person, ports: list[int]) -> None:
    source = {"method": "POST", "url": f"http://127.0.0.1:{ports[0]}/order"}
    tool = await ann.post("/api/v1/tools", tool={"name": "order", "http": source})
    bot = await ann.post("/api/v1/bots", bot={"name": "Helper", "toolIds": [tool["id"]]})
    conversation = await ann.open_conversation(botId=bot["id"], private=True)
    assert (await ann.answer(conversation, "call order")).startswith("You said: ")
    assert (await ann.get("/api/v1/tool-calls"))["calls"] == []


async def test_a_real_model_calls_a_real_tool_with_the_arguments_that_it_takes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    port, seen = free_port(), Seen()
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Hanoi"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "required": ["city", "days"],
        "additionalProperties": False,
    }
    short = {"inference_max_output_tokens": 64, "inference_local_context_tokens": 2048, "inference_temperature": 0}
    house = tmp_path_factory.mktemp("real")
    with running_mesh(
        house, inference_provider="local", tools_egress_exceptions=json.dumps([f"127.0.0.1:{port}"]), **short
    ) as mesh:
        async with serving(web(seen), port), edge_of(mesh.url) as edge:
            ada = await edge.register()
            source = {"method": "POST", "url": f"http://127.0.0.1:{port}/weather"}
            wanted = {"name": "weather", "description": "Tells the weather of a city.", "http": source}
            tool = await ada.post("/api/v1/tools", tool=wanted | {"argumentsSchema": json.dumps(schema)})
            conversation = await bot_with(ada, tool["id"])
            question = {"text": "How is the weather in Paris?", "toolChoice": "TOOL_CHOICE_REQUIRED"}
            run = (await ada.post(f"{conversation}/messages", **question))["run"]["id"]
            events = await ada.hear(f"{conversation}/runs/{run}", timeout=120)
            assert events[-1].kind == "completed", events[-1]
            (_, answer) = (await ada.get(f"{conversation}/messages"))["messages"]
    ((method, path, _, body),) = seen.requests
    assert (method, path) == ("POST", "/weather")
    assert set(await BoundedSchemas(Sandbox()).arguments(json.dumps(schema), body.decode(), "")) == {"city", "days"}
    assert answer == events[-1].data["message"]
    assert (answer["text"] != "", answer["metadata"]["model"]) == (True, "smollm2-135m-instruct")
    (call,) = answer["toolCalls"]
    assert (call["toolName"], call["state"], call["result"]) == ("weather", "TOOL_CALL_STATE_SUCCEEDED", "seen 1")
    assert json.loads(call["arguments"]) == json.loads(body)


HEAD = "openapi: 3.0.0\ninfo: {title: t, version: 1}\n"


def fanning(levels: int) -> dict[str, object]:
    """Return a schema in which each level refers to the next one twice."""
    refs = [[{"$ref": f"#/$defs/l{n + 1}"}] * 2 for n in range(levels)]
    return {"$ref": "#/$defs/l0", "$defs": {f"l{n}": {"allOf": two} for n, two in enumerate(refs)} | {f"l{levels}": {}}}


async def test_one_persons_hostile_input_is_an_error_of_that_request(house: Edge, ann: Person) -> None:
    other = await house.register()
    documents = ["- " * 60_000 + "x", HEAD + "x: " + "[" * 200_000, HEAD + "x: " + "{a: " * 100_000, "&a " * 60_000]
    hostile: list[tuple[str, dict[str, object], str]]
    hostile = [("/api/v1/tools:importOpenApi", {"document": one}, "DOCUMENT_INVALID") for one in documents]
    source = {"method": "GET", "url": "https://example.com/"}
    schemas: list[dict[str, object]] = [
        fanning(27),
        {"properties": {"a": {"pattern": "((a{99}){99}){99}"}}},
        {"$ref": "http://127.0.0.1/"},
    ]
    for schema in schemas:
        tool = {"name": "hostile", "http": source, "argumentsSchema": json.dumps(schema)}
        hostile.append(("/api/v1/tools", {"tool": tool}, "SCHEMA_INVALID"))
    grpc = {"target": "example.com:443", "method": "/a.B/C", "descriptorSet": "Cg" * 9_000}
    hostile.append(("/api/v1/tools", {"tool": {"name": "hostile", "grpc": grpc}}, "SOURCE_INVALID"))
    tasks = [asyncio.create_task(ann.ask("POST", path, json=body)) for path, body, _ in hostile]
    slowest = 0.0
    while not all(task.done() for task in tasks):
        began = time.monotonic()
        await other.get("/api/v1/tools")
        slowest = max(slowest, time.monotonic() - began)
    for task, (_, _, reason) in zip(tasks, hostile, strict=True):
        refusal(await task, 400, 3, reason=reason)
    assert slowest < 5


async def test_operations_of_a_document_that_no_tool_can_do_are_named(ann: Person, ports: list[int]) -> None:
    upload = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {"type": "object"}}}}}
    document = {"openapi": "3.0.3", "paths": {"/up": {"post": upload}, "/users:search": {"get": {}}}}
    wanted = {"document": json.dumps(document), "serverUrl": f"http://127.0.0.1:{ports[0]}/v1"}
    made = await ann.post("/api/v1/tools:importOpenApi", **wanted)
    assert [tool["http"]["url"] for tool in made["tools"]] == [f"http://127.0.0.1:{ports[0]}/v1/users:search"]
    reason = "it needs a body of multipart/form-data, which cannot be sent"
    assert made["skipped"] == [{"operation": "post/up", "reason": reason}]
    refused = await ann.ask("POST", "/api/v1/tools:importOpenApi", json={**wanted, "operationIds": ["post/up"]})
    refusal(refused, 400, 3, field="document", reason="DOCUMENT_INVALID")
