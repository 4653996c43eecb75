"""Providers that misbehave, as users of the whole house see them: over REST, with every paid request counted."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.acceptance.tools.servers import serving
from tests.support.callers import Edge, Json, Person, edge_of
from tests.support.model_server import Provider, misbehaving
from tests.support.running_mesh import running_mesh

_LONG = "begin" + "x" * 208_000 + "end"


@dataclass(frozen=True, slots=True)
class _Odd:
    edge: Edge
    provider: Provider
    tools_url: str

    def paid(self, words: str) -> int:
        """How often the provider was asked this."""
        return len(self.provider.asked_with(words))


@pytest.fixture(scope="module")
async def odd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[_Odd]:
    """A house whose model misbehaves as it is told, and the server of its tools."""

    async def long(_: Request) -> Response:
        return PlainTextResponse(_LONG)

    app = Starlette(routes=[Route("/{rest:path}", long, methods=["POST"])])
    async with misbehaving() as provider, serving(app) as port:
        settings = {
            "inference_provider": "openai",
            "inference_openai_base_url": provider.base_url,
            "inference_openai_api_key": "sk-a-secret",
            "inference_openai_model": "odd",
            "tools_egress_exceptions": json.dumps([f"127.0.0.1:{port}"]),
        }
        with running_mesh(tmp_path_factory.mktemp("odd"), **settings) as mesh:
            async with edge_of(mesh.url) as edge:
                yield _Odd(edge, provider, f"http://127.0.0.1:{port}")


@pytest.fixture
async def ann(odd: _Odd) -> Person:
    """Somebody new in that house."""
    return await odd.edge.register()


async def _last(person: Person, conversation: str, text: str) -> Json:
    last = (await person.hear(await person.say(conversation, text)))[-1]
    return {"kind": last.kind, **last.data}


@pytest.mark.parametrize(
    ("switch", "text", "reason"),
    [
        ("nul", "a\ufffd\ufffdb", "stop"),
        ("halves", "a😀b", "stop"),
        ("lone-high", "a\ufffdb", "stop"),
        ("long-at-once", "x" * 1024 * 1024, "length"),
        ("many-tokens", "a", "stop"),
        ("delta-null", "Hello there", "stop"),
        ("no-finish-reason", "Hello there", "unknown"),
        ("content-list", "Hello there", "stop"),
        ("document", "Hello there", "stop"),
        ("content-filter", "Hel", "content_filter"),
        ("think", "Hello there", "stop"),
        ("think-unopened", "Hello there", "stop"),
        ("content-very-deep", "Hello there", "stop"),
    ],
)
async def test_an_answer_is_kept_and_paid_once(odd: _Odd, ann: Person, switch: str, text: str, reason: str) -> None:
    conversation = await ann.open_conversation()
    last = await _last(ann, conversation, f"misbehave {switch}")
    assert last["kind"] == "completed", last
    stored = (await ann.get(f"{conversation}/messages"))["messages"][-1]
    assert (stored["text"], stored["metadata"]["finishReason"]) == (text, reason)
    assert last["message"]["text"] == text
    assert odd.paid(f"misbehave {switch}") == 1


@pytest.mark.parametrize(
    ("switch", "reason"),
    [
        ("blank", "EMPTY_ANSWER"),
        ("length-at-once", "EMPTY_ANSWER"),
        ("content-filter-at-once", "CONTENT_FILTERED"),
        ("filtered", "CONTENT_FILTERED"),
        ("no-model", "MODEL_REFUSED"),
    ],
)
async def test_no_answer_is_paid_once_and_says_why(odd: _Odd, ann: Person, switch: str, reason: str) -> None:
    last = await _last(ann, await ann.open_conversation(), f"misbehave {switch}")
    assert (last["kind"], last["error"]["reason"]) == ("failed", reason)
    assert odd.paid(f"misbehave {switch}") == 1


async def test_runs_that_said_nothing_brick_no_conversation(odd: _Odd, ann: Person) -> None:
    conversation = await ann.open_conversation()
    for switch in ("blank", "no-model", "strict", "empty", "content-filter-at-once", "filtered", "strict"):
        last = await _last(ann, conversation, f"misbehave {switch}")
        assert last["kind"] == ("completed" if switch == "strict" else "failed"), last
    assert last["message"]["text"] == "Hello there"


async def _bot(odd: _Odd, person: Person) -> str:
    tools = [
        await person.post("/api/v1/tools", tool={"name": name, "http": {"method": "POST", "url": odd.tools_url}})
        for name in ("weather", "order")
    ]
    bot = await person.post("/api/v1/bots", bot={"name": "Odd", "toolIds": [tool["id"] for tool in tools]})
    return await person.open_conversation(botId=bot["id"])


@pytest.mark.parametrize(
    ("switch", "states"),
    [
        ("calls-share-index", ["SUCCEEDED"] * 3),
        ("calls-with-one-id", ["SUCCEEDED"] * 2),
        ("arguments-cut", ["FAILED"]),
        ("arguments-list", ["FAILED"]),
        ("arguments-long", ["FAILED"]),
        ("arguments-object", ["SUCCEEDED"]),
        ("name-unknown", ["FAILED"]),
    ],
)
async def test_odd_calls_are_done_or_told_and_answered(odd: _Odd, ann: Person, switch: str, states: list[str]) -> None:
    conversation = await _bot(odd, ann)
    last = await _last(ann, conversation, f"misbehave {switch}")
    assert last["kind"] == "completed", last
    assert last["message"]["text"] == "Done."
    found = [call["state"].removeprefix("TOOL_CALL_STATE_") for call in last["message"]["toolCalls"]]
    assert found == states
    assert odd.paid(f"misbehave {switch}") == 2


async def test_a_long_result_is_shortened_for_the_model_and_kept_whole(odd: _Odd, ann: Person) -> None:
    conversation = await _bot(odd, ann)
    last = await _last(ann, conversation, "misbehave call and tell me")
    (call,) = last["message"]["toolCalls"]
    assert (await ann.get(f"/api/v1/tool-calls/{call['id']}"))["result"] == _LONG
    told = odd.provider.asked_with("misbehave call and tell me")[-1].body["messages"][-1]["content"]
    assert told.startswith("begin")
    assert told.endswith("end")
    assert len(told) < 100_000
