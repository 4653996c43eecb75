"""Answers come in pieces that are cut anywhere: what is read of them does not depend on where."""

import json
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.excerpts import even_limit, excerpt
from services.chassis.storable_text import storable
from services.inference.backends.call_pieces import CallPieces
from services.inference.backends.completion_chunks import Unreadable, read_chunks
from services.inference.backends.event_stream import MOST_EVENT_BYTES, Event, EventReader, EventTooLong
from services.inference.backends.provider_errors import read_refusal
from services.inference.rules import Part, Summary
from services.inference.rules.normalising import normalised
from services.inference.rules.thoughts import WithoutThoughts, without_thoughts

_NAMES = st.text(max_size=3) | st.sampled_from(
    "choices delta message content tool_calls function name arguments index id finish_reason usage error".split()  # noqa: SIM905
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)
_CUTS = st.integers(1, 5)
_ANY = st.text(st.characters(codec=None, categories=None), max_size=20)


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@given(_ANY)
def test_a_storable_text_can_be_stored_and_stays(text: str) -> None:
    held = storable(text)
    assert "\x00" not in held
    assert held.encode().decode() == held
    assert storable(held) == held


@given(st.text())
def test_a_text_that_can_be_stored_is_not_changed(text: str) -> None:
    assert storable(text) == text.replace("\x00", "\ufffd")


@given(_ANY, _CUTS)
async def test_halves_are_joined_wherever_an_answer_is_cut(text: str, size: int) -> None:
    utf_16 = "".join(
        chr(int.from_bytes(pair, "little"))
        for pair in (text.encode("utf-16-le", "surrogatepass")[at : at + 2] for at in range(0, 2 * 60, 2))
        if pair
    )

    async def parts() -> AsyncIterator[Part]:
        for piece in _cut(utf_16, size):
            yield piece
        yield Summary("m", "stop", 1, 1)

    *pieces, summary = [part async for part in normalised(parts(), "m")]
    assert "".join(map(str, pieces)) == storable(utf_16)
    assert all(pieces)
    assert isinstance(summary, Summary)


@given(st.lists(st.sampled_from(["data: a", "data:b", ": c", "event: d", "", "id: 1", "data", "x"])), _CUTS)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_events_are_the_same_wherever_they_are_cut(newline: str, lines: list[str], size: int) -> None:
    body = "".join(f"{line}{newline}" for line in [*lines, "data: end", ""]).encode()
    at_once, in_pieces = EventReader(), EventReader()
    found = [*at_once.feed(body), *at_once.end()]
    pieces = [event for at in range(0, len(body), size) for event in in_pieces.feed(body[at : at + size])]
    assert [*pieces, *in_pieces.end()] == found
    assert found[-1].data.endswith("end")


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read(body: bytes) -> None:
    reader = EventReader()
    for event in [*reader.feed(body), *reader.end()]:
        assert isinstance(event, Event)
        assert event.data.encode().decode() == event.data


def test_an_event_that_never_ends_is_not_kept() -> None:
    reader = EventReader()
    reader.feed(b"x" * MOST_EVENT_BYTES)
    with pytest.raises(EventTooLong):
        reader.feed(b"x")


@given(_JSON)
def test_no_chunk_is_a_fault(value: object) -> None:
    pieces = CallPieces({"weather"})
    for chunk in read_chunks(json.dumps(value)):
        assert isinstance(chunk.text, str)
        pieces.add(chunk.calls)
    for call in pieces.calls():
        assert isinstance(call.arguments, str)


@given(st.text(max_size=30))
def test_words_between_chunks_say_nothing(text: str) -> None:
    try:
        list(read_chunks(text))
    except Unreadable:
        assert text.lstrip()[:1] == "{"


@given(_JSON)
def test_no_refusal_is_a_fault(body: object) -> None:
    assert isinstance(read_refusal(body).parameters, tuple)


@given(st.lists(st.sampled_from(["<think>", "</think>", "a", " ", "<", "`", "\n", "<thinking>", "</thinking>"])), _CUTS)
def test_thoughts_are_left_out_wherever_they_are_cut(words: list[str], size: int) -> None:
    text = "".join(words)
    reader, said = WithoutThoughts(), ""
    for piece in _cut(text, size):
        told = reader.feed(piece)
        said = told if reader.takes_back() else said + told
    whole = WithoutThoughts()
    assert said + reader.end() == whole.feed(text) + whole.end()
    assert not whole.takes_back()  # of what was never returned there is nothing to take back


@pytest.mark.parametrize(
    "text",
    [
        "The tag <think> opens it.",
        "Use `<think>` and `</think>`.",
        "```\n<think>\n</think>\n```",
        "a < b, [think](x), <thinking about>",
        "<thinking about>",
        "[think](x)",
        "<reasoning>x</reasoning>",
    ],
)
def test_what_is_no_thought_is_said(text: str) -> None:
    for size in (1, 3, 1000):
        reader = WithoutThoughts()
        assert "".join(map(reader.feed, _cut(text, size))) + reader.end() == text
        assert not reader.takes_back()


def test_a_thought_that_the_prompt_opened_is_left_out_of_history() -> None:
    assert without_thoughts("plan</think>\nblue") == "blue"
    assert without_thoughts("the tag `</think>` closes it") == "the tag `</think>` closes it"
    assert without_thoughts("a</think> b </thinking>\n\nc</think") == "b </thinking>\n\nc</think"


@pytest.mark.parametrize(
    "text", ["</think " * 50_000, "`</think>" * 50_000, "</think>" + " " * 400_000, "<think></think>" * 500_000]
)
def test_a_long_answer_is_searched_in_time_of_its_length(text: str) -> None:
    began = time.process_time()
    without_thoughts(text)
    assert time.process_time() - began < 5


@given(st.lists(st.tuples(st.sampled_from(["weather", "order"]), st.integers(0, 9)), min_size=1, max_size=4), _CUTS)
def test_calls_are_put_together_wherever_their_arguments_are_cut(asked: list[tuple[str, int]], size: int) -> None:
    pieces = CallPieces({"weather", "order"})
    chunks: list[list[object]] = []
    for index, (name, number) in enumerate(asked):
        parts = _cut(f'{{"n": {{"m": {number}}}}}', size)
        chunks.append([{"index": index, "id": f"c{index}", "function": {"name": name, "arguments": ""}}])
        chunks += [[{"index": index, "function": {"arguments": part}}] for part in parts]
    for chunk in chunks:
        pieces.add(chunk)
    assert [(call.name, json.loads(call.arguments)["n"]["m"]) for call in pieces.calls()] == asked


def test_calls_that_are_told_in_turn_are_told_apart() -> None:
    pieces = CallPieces({"weather"})
    told = [f'{{"n": {index}}}' for index in range(5)]
    for index in range(5):
        pieces.add([{"index": index, "id": str(index), "function": {"name": "weather"}}])
    for letters in zip(*told, strict=True):
        pieces.add([{"index": index, "function": {"arguments": letter}} for index, letter in enumerate(letters)])
    assert [json.loads(call.arguments)["n"] for call in pieces.calls()] == [0, 1, 2, 3, 4]


@given(st.text(max_size=300), st.integers(0, 300))
def test_a_shortened_text_keeps_its_ends_and_its_limit(text: str, most: int) -> None:
    short = excerpt(text, most)
    assert len(short.encode()) <= max(most, 80)
    if len(text.encode()) <= most:
        assert short == text
    else:
        assert "characters are left out" in short


@given(st.lists(st.integers(0, 1000)), st.integers(0, 5000))
def test_an_even_limit_is_kept(sizes: list[int], most: int) -> None:
    limit = even_limit(sizes, most)
    assert sum(min(size, limit) for size in sizes) <= most
    assert sum(sizes) > most or limit == max(sizes, default=0)
