"""Models ask for tools: the script, and a provider with the OpenAI API that tells a call bit by bit."""

import json

import pytest

from services.chassis.sandbox.running import Sandbox
from services.inference.backends.openai_chat_model import OpenAIChatModel
from services.inference.backends.openai_connection import Endpoint, OpenAIConnection
from services.inference.backends.scripted_chat_model import ScriptedChatModel
from services.inference.errors import ModelUnavailable
from services.inference.ports import ChatModel
from services.inference.rules import Message, Part, Prompt, Summary, Tool, ToolCall, fit
from services.tools.backends.bounded_schemas import BoundedSchemas
from tests.acceptance.inference.conftest import PATIENCE
from tests.support.model_server import providing, streaming

TOOLS = (Tool("weather", "Tells the weather.", '{"type": "object"}'), Tool("order", "", '{"type": "object"}'))


async def parts_of(model: ChatModel, *messages: Message, required: bool = False) -> list[Part]:
    """Return everything that a model yields."""
    return [part async for part in model.stream(Prompt(messages, 100, 0.0, TOOLS, required))]


async def test_the_script_asks_for_calls_and_answers_with_their_results() -> None:
    model = ScriptedChatModel("scripted", 0)
    asked = Message("user", 'Please\ncall weather {"city": "Huế"}\ncall order\ncall unknown {}')
    calls = (ToolCall("call_0", "weather", '{"city": "Huế"}'), ToolCall("call_1", "order", "{}"))
    *found, summary = await parts_of(model, asked)
    assert found == list(calls)
    assert isinstance(summary, Summary)
    assert summary.finish_reason == "tool_calls"
    results = [Message("tool", text, (), call.call_id) for text, call in zip(("blue", "done"), calls, strict=True)]
    *words, summary = await parts_of(model, asked, Message("assistant", "", calls), *results)
    assert "".join(map(str, words)) == "The tools said: blue; done"


async def test_a_provider_tells_calls_bit_by_bit() -> None:
    def chunk(reason: str | None = None, **delta: object) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return json.dumps(
            {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        )

    def piece(index: int, **fields: object) -> str:
        return chunk(tool_calls=[{"index": index, **fields}])

    lines = [
        chunk(content="Let me see. "),
        piece(0, id="a", type="function", function={"name": "weather", "arguments": ""}),
        piece(0, function={"arguments": '{"city": '}),
        piece(1, id="b", type="function", function={"name": "order", "arguments": "{}"}),
        piece(0, function={"arguments": '"Huế"}'}),
        chunk("tool_calls"),
    ]
    async with providing(streaming(*lines)) as provider:

        async def endpoint() -> Endpoint:
            return Endpoint(provider.base_url, "key", is_ours=True)

        connection = OpenAIConnection(endpoint)
        model = OpenAIChatModel("m", "m", connection, PATIENCE)
        call = ToolCall("a", "weather", '{"city": "Huế"}')
        said = (Message("user", "?"), Message("assistant", "", (call,)), Message("tool", "blue", (), "a"))
        found = await parts_of(model, *said)
        await parts_of(model, *said, required=True)
        await connection.close()
    asked = [json.loads(body) for body in provider.bodies]
    assert [body.get("tool_choice") for body in asked] == [None, "required"]
    assert [tool["function"]["name"] for tool in asked[1]["tools"]] == ["weather", "order"]
    assert found[:3] == ["Let me see. ", call, ToolCall("b", "order", "{}")]
    assert isinstance(found[3], Summary)
    assert found[3].finish_reason == "tool_calls"
    assert json.loads(call.arguments) == {"city": "Huế"}


@pytest.mark.parametrize("told", [(), (Message("system", "Be brief."),)])
async def test_a_small_local_model_asks_for_a_call_that_its_tool_takes(
    local_model: ChatModel, told: tuple[Message, ...]
) -> None:
    schemas: dict[str, dict[str, object]] = {
        "weather": {"city": {"enum": ["Paris", "Huế"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "order": {"meal": {"enum": ["soup", "rice"]}},
    }
    tools = tuple(
        Tool(
            name,
            f"The {name}.",
            json.dumps(
                {
                    "type": "object",
                    "properties": properties,
                    "required": list(properties),
                    "additionalProperties": False,
                }
            ),
        )
        for name, properties in schemas.items()
    )
    prompt = Prompt((*told, Message("user", "How is the weather in Paris?")), 200, 0.0, tools, True)
    call, summary = [part async for part in local_model.stream(prompt)]
    assert isinstance(call, ToolCall)
    (asked,) = (tool for tool in tools if tool.name == call.name)
    assert set(await BoundedSchemas(Sandbox()).arguments(asked.arguments_schema, call.arguments, "")) == set(
        schemas[call.name]
    )
    assert isinstance(summary, Summary)
    assert (summary.finish_reason, summary.output_tokens > 3) == ("tool_calls", True)


async def test_a_call_that_is_cut_short_is_no_call(local_model: ChatModel) -> None:
    prompt = Prompt((Message("user", "How is the weather?"),), 4, 0.0, TOOLS, True)
    with pytest.raises(ModelUnavailable):
        [part async for part in local_model.stream(prompt)]


def test_a_result_is_not_parted_from_its_call() -> None:
    messages = [
        Message("user", "old"),
        Message("assistant", "older"),
        Message("user", "new"),
        Message("assistant", "", (ToolCall("a", "weather", "{}"),)),
        Message("tool", "blue", (), "a"),
    ]
    assert fit(messages, [10] * 5, 30) == [2, 3, 4]
