"""What MCP tools answer besides text is kept, models read real letters, and importing again updates."""

from dataclasses import replace

import pytest

from services.chassis.owners import Who
from services.tools.backends.egress_guard import EgressGuard
from services.tools.backends.mcp_caller import McpCaller
from services.tools.errors import ToolNameTaken
from services.tools.operations.import_tools import ImportTools
from services.tools.ports import CallFailed
from services.tools.rules import Content, HttpSource, McpSource, Tool
from tests.acceptance.tools.conftest import ANY, NO_ID, House
from tests.acceptance.tools.servers import PIXEL, picture_server, serving

LIMIT = 100_000


def guard(port: int) -> EgressGuard:
    """Return a guard that lets tools reach one port of the loopback."""
    return EgressGuard([80, 443], [f"127.0.0.1:{port}"])


async def test_parts_that_are_no_text_are_kept() -> None:
    expected = {
        "image": (
            "a dot\n[image, image/png, 4 bytes]",
            (Content("text", "a dot"), Content("image", data=PIXEL, mime_type="image/png")),
        ),
        "audio": ("[audio, audio/wav, 4 bytes]", (Content("audio", data=PIXEL, mime_type="audio/wav"),)),
        "link": (
            "[resource_link, Huế, https://x.example/hue, text/html]",
            (Content("resource_link", mime_type="text/html", uri="https://x.example/hue", name="Huế"),),
        ),
        "text": ("Huế\ufffd", (Content("resource", "Huế\ufffd", mime_type="text/plain", uri="a://b"),)),
        "blob": ("[resource, a://c, 4 bytes]", (Content("resource", data=PIXEL, uri="a://c"),)),
        "nothing": ("", ()),
    }
    async with serving(picture_server().streamable_http_app()) as port:
        caller = McpCaller(guard(port), LIMIT, {})
        source = McpSource(f"http://127.0.0.1:{port}/mcp", "", "look")
        for kind, (text, content) in expected.items():
            answer = await caller.call(source, {"kind": kind}, {}, 5)
            assert (answer.text, answer.content) == (text, content), kind
        with pytest.raises(CallFailed, match="base64") as failed:
            await caller.call(source, {"kind": "broken"}, {}, 5)
        assert (failed.value.reason, failed.value.done) == ("ANSWER_INVALID", True)


async def test_a_structured_answer_is_json_of_real_letters() -> None:
    async with serving(picture_server().streamable_http_app()) as port:
        caller = McpCaller(guard(port), LIMIT, {})
        source = McpSource(f"http://127.0.0.1:{port}/mcp", "", "measure")
        assert (await caller.call(source, {"value": "text"}, {}, 5)).text == '{"city":"Huế \\u0000"}'
        assert (await caller.call(source, {"value": "long"}, {}, 5)).text == '{"n":1' + "0" * 60 + "}"


async def test_a_second_import_keeps_and_updates_what_is_there(house: House, ann: Who) -> None:
    names = ["order.umbrella", "order_umbrella"]
    async with serving(picture_server(*names).streamable_http_app()) as port:
        egress = guard(port)
        imports = ImportTools(
            replace(house.tools, egress=egress),
            house.imports.documents,
            McpCaller(egress, LIMIT, {}),
            house.secrets,
            egress,
        )
        server = McpSource(f"http://127.0.0.1:{port}/mcp", "", "")
        first = await imports.mcp(ann, server, names, ())
        assert [tool.source.tool for tool in first if isinstance(tool.source, McpSource)] == names
        assert first[1].name == "order_umbrella"
        assert first[0].name.startswith("order_umbrella_")
        await imports.tools.update(
            ann, replace(first[1], name="umbrella", needs_approval=False), ["name", "needs_approval"], [], ""
        )
        again = await imports.mcp(ann, server, [], ())
        assert len(again) == 4
        assert {tool.tool_id for tool in first} <= {tool.tool_id for tool in again}
        kept = next(tool for tool in again if tool.tool_id == first[1].tool_id)
        assert (kept.name, kept.needs_approval, kept.revision) == ("umbrella", False, 2)
        assert await imports.mcp(ann, server, [], ()) == again
    for tool in again:
        await house.tools.delete(ann, tool.tool_id)
    await house.tools.create(
        ann, Tool(NO_ID, "look", "", ANY, HttpSource("GET", f"http://127.0.0.1:{house.port}/")), None
    )
    async with serving(picture_server().streamable_http_app(), port):
        with pytest.raises(ToolNameTaken):
            await imports.mcp(ann, server, [], ())
