"""One suite for the port ChatModel, held against every backend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from services.inference.backends.llama_server_process import LlamaServerProcess
from services.inference.backends.openai_chat_model import OpenAIChatModel
from services.inference.backends.openai_connection import Endpoint, OpenAIConnection
from services.inference.backends.scripted_chat_model import ScriptedChatModel
from services.inference.ports import ChatModel
from services.inference.rules import Message, Prompt, Summary
from tests.acceptance.inference.conftest import PATIENCE

_PROMPT = Prompt((Message("system", "Answer briefly."), Message("user", "Say hello to me.")), 24, 0.0)


@pytest.fixture(scope="session", params=["scripted", "local", "openai"])
async def model(
    request: pytest.FixtureRequest, local_process: LlamaServerProcess, local_model: OpenAIChatModel
) -> AsyncIterator[ChatModel]:
    if request.param == "scripted":
        yield ScriptedChatModel("scripted", 0)
    elif request.param == "local":
        yield local_model
    else:
        # The way to any provider: a plain URL and a key. Behind them llama.cpp's server, a real OpenAI-compatible one.
        ours = await local_process.endpoint()
        theirs = Endpoint(ours.base_url, ours.api_key)

        async def find_endpoint() -> Endpoint:
            return theirs

        connection = OpenAIConnection(find_endpoint)
        yield OpenAIChatModel("some-model", "smollm2-135m-instruct", connection, PATIENCE)
        await connection.close()


async def _ask(model: ChatModel, prompt: Prompt) -> tuple[list[str], Summary]:
    parts = [part async for part in model.stream(prompt)]
    pieces = [part for part in parts[:-1] if isinstance(part, str)]
    assert len(pieces) == len(parts) - 1
    assert isinstance(parts[-1], Summary)
    return pieces, parts[-1]


async def test_an_answer_comes_in_pieces_and_ends_with_a_summary(model: ChatModel) -> None:
    pieces, summary = await _ask(model, _PROMPT)
    assert len(pieces) > 1
    assert all(pieces)
    assert summary.model_id
    assert summary.finish_reason in {"stop", "length"}
    assert summary.input_tokens > 0
    assert summary.output_tokens >= len(pieces) > 0


async def test_the_same_question_at_temperature_0_has_the_same_answer(model: ChatModel) -> None:
    first, _ = await _ask(model, _PROMPT)
    second, _ = await _ask(model, _PROMPT)
    assert "".join(first) == "".join(second)


async def test_more_questions_at_once_than_there_are_slots_all_get_their_answer(model: ChatModel) -> None:
    prompts = [Prompt((Message("user", f"Say the number {number}."),), 16, 0.0) for number in range(8)]
    answers = await asyncio.gather(*(_ask(model, prompt) for prompt in prompts))
    assert all("".join(pieces).strip() for pieces, _ in answers)


async def test_an_abandoned_answer_leaves_the_model_in_order(model: ChatModel) -> None:
    async with aclosing(model.stream(_PROMPT)) as parts:
        assert await anext(parts)
    pieces, _ = await _ask(model, _PROMPT)
    assert pieces
