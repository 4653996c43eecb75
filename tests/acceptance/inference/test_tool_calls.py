"""Models ask for tools: the script, and a provider with the OpenAI API that tells a call bit by bit."""

import json

from services.inference.backends.openai_chat_model import OpenAIChatModel
from services.inference.backends.openai_connection import Endpoint, OpenAIConnection
from services.inference.backends.scripted_chat_model import ScriptedChatModel
from services.inference.ports import ChatModel
from services.inference.rules import Message, Prompt, Summary, Tool, ToolCall, fit
from tests.acceptance.inference.conftest import PATIENCE
from tests.acceptance.inference.provider import providing, streaming

TOOLS = (Tool("weather", "Tells the weather.", '{"type": "object"}'), Tool("order", "", '{"type": "object"}'))


async def parts_of(model: ChatModel, *messages: Message) -> list[str | ToolCall | Summary]:
    """Return everything that a model yields."""
    return [part async for part in model.stream(Prompt(messages, 100, 0.0, TOOLS))]


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
        await connection.close()
    assert found[:3] == ["Let me see. ", call, ToolCall("b", "order", "{}")]
    assert isinstance(found[3], Summary)
    assert found[3].finish_reason == "tool_calls"
    assert json.loads(call.arguments) == {"city": "Huế"}


def test_a_result_is_not_parted_from_its_call() -> None:
    messages = [
        Message("user", "old"),
        Message("assistant", "older"),
        Message("user", "new"),
        Message("assistant", "", (ToolCall("a", "weather", "{}"),)),
        Message("tool", "blue", (), "a"),
    ]
    assert fit(messages, [10] * 5, 30) == [2, 3, 4]
