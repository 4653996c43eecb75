"""The operations, with the scripted model."""

from collections.abc import Sequence

import pytest

from services.inference.backends.estimating_token_counter import EstimatingTokenCounter
from services.inference.backends.scripted_chat_model import ScriptedChatModel
from services.inference.errors import ContextLengthExceeded, ModelNotFound
from services.inference.operations import Catalogue, Defaults, generate, list_statuses
from services.inference.ports import ServedModel
from services.inference.rules import Condition, Message, ModelState, Question, Summary

_DEFAULTS = Defaults(max_output_tokens=100, temperature=0.7)


class _CountedCounter(EstimatingTokenCounter):
    def __init__(self) -> None:
        self.calls = 0

    async def count(self, messages: Sequence[Message]) -> list[int]:
        self.calls += 1
        return await super().count(messages)


def _served(model_id: str, context_tokens: int, counter: EstimatingTokenCounter) -> ServedModel:
    return ServedModel(
        model_id=model_id,
        provider="scripted",
        context_tokens=context_tokens,
        chat=ScriptedChatModel(model_id, 0),
        counter=counter,
        condition=lambda: Condition(ModelState.READY),
    )


def _catalogue(context_tokens: int = 0) -> tuple[Catalogue, _CountedCounter]:
    counter = _CountedCounter()
    names = ("small", "large")
    return Catalogue({name: _served(name, context_tokens, counter) for name in names}, "large"), counter


async def _ask(catalogue: Catalogue, question: Question) -> tuple[list[str], Summary]:
    *pieces, summary = [part async for part in generate(catalogue, _DEFAULTS, question)]
    assert isinstance(summary, Summary)
    return [piece for piece in pieces if isinstance(piece, str)], summary


@pytest.mark.parametrize("text", ["hello there", "  two  spaces\nand a line \n", "", "Xin chào 👋"])
async def test_the_script_repeats_the_last_user_message_word_by_word(text: str) -> None:
    catalogue, _ = _catalogue()
    messages = (Message("system", "Be kind."), Message("user", "old"), Message("user", text))
    pieces, summary = await _ask(catalogue, Question(messages))
    assert "".join(pieces) == f"You said: {text}"
    assert all(len(piece.split()) <= 1 for piece in pieces)
    assert summary == Summary("large", "stop", 3 + len(text.split()), len(pieces))


async def test_a_model_is_asked_by_its_id() -> None:
    catalogue, _ = _catalogue()
    _, summary = await _ask(catalogue, Question((Message("user", "hi"),), model_id="small"))
    assert summary.model_id == "small"
    with pytest.raises(ModelNotFound) as failure:
        await _ask(catalogue, Question((Message("user", "hi"),), model_id="gpt-9"))
    assert failure.value.fields == {"model": "gpt-9"}


async def test_short_conversations_are_not_counted_and_long_ones_are_trimmed() -> None:
    catalogue, counter = _catalogue(context_tokens=1024)
    short = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    _, summary = await _ask(catalogue, Question(short))
    assert (counter.calls, summary.input_tokens) == (0, 3)
    long = tuple(Message("assistant" if index % 2 else "user", "word " * 100) for index in range(21))
    _, summary = await _ask(catalogue, Question(long))
    assert (counter.calls, summary.input_tokens) == (1, 300)


async def test_a_message_longer_than_the_context_is_refused() -> None:
    catalogue, _ = _catalogue(context_tokens=1024)
    with pytest.raises(ContextLengthExceeded) as failure:
        await _ask(catalogue, Question((Message("user", "x" * 3000),)))
    assert failure.value.fields == {"tokens": "1008", "limit": "876"}


def test_the_default_model_is_listed_first() -> None:
    catalogue, _ = _catalogue()
    statuses = list_statuses(catalogue)
    assert [(status.model_id, status.is_default) for status in statuses] == [("large", True), ("small", False)]
