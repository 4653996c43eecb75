"""Answers of providers that are not shaped as OpenAI's: over real HTTP, through everything that an answer passes."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

import pytest

from services.inference.backends.dialects import Dialect
from services.inference.backends.estimating_token_counter import EstimatingTokenCounter
from services.inference.backends.openai_chat_model import Manner, OpenAIChatModel, Patience
from services.inference.backends.openai_connection import Endpoint, OpenAIConnection
from services.inference.errors import ContentFiltered, ContextLengthExceeded, ModelRefused, ModelUnavailable
from services.inference.operations import Catalogue, Defaults, generate
from services.inference.ports import ServedModel
from services.inference.rules import Condition, Message, ModelState, Part, Question, Summary, TakenBack, Tool, ToolCall
from tests.support.callers import Json
from tests.support.model_server import SWITCHES, Provider, misbehaving
from tests.support.model_server.refusal_switches import REFUSALS

_TOOLS = (Tool("weather", "", '{"type": "object"}'), Tool("order", "", '{"type": "object"}'))
_PATIENCE = Patience(first_token_seconds=60, idle_seconds=2)
_HELLO = "Hello there"
_HUE, _ONE, _TWO = ("weather", '{"city": "Huế"}'), ("order", '{"n": 1}'), ("order", '{"n": 2}')
Called = list[tuple[str, str]]
Expected = TypeVar("Expected")


def _all(names: str, expected: Expected) -> dict[str, Expected]:
    return dict.fromkeys(names.split(), expected)


_TEXTS: dict[str, tuple[str, str]] = {
    "nul": ("a\ufffd\ufffdb", "stop"),
    "only-nul": ("\ufffd", "stop"),
    "lone-high": ("a\ufffdb", "stop"),
    "lone-low": ("a\ufffdb", "stop"),
    "lone-last": ("a\ufffd", "stop"),
    "halves": ("a😀b", "stop"),
    "halves-apart": ("a😀b", "stop"),
    "swapped-halves": ("\ufffd\ufffd", "stop"),
    "utf-8-cut": ("a😀b", "stop"),
    "not-utf-8": ("a\ufffd\ufffdb", "stop"),
    "half-utf-8": ("a\ufffd\ufffd\ufffdb", "stop"),
    "long": ("x" * 1024 * 1024, "length"),
    "long-at-once": ("x" * 1024 * 1024, "length"),
    "many-tokens": ("a", "stop"),
    "empty": ("", "stop"),
    "blank": (" \n\t \u00a0", "stop"),
    "slow-drip": ("a😀b", "stop"),
    "think": (_HELLO, "stop"),
    "think-at-once": (_HELLO, "stop"),
    "think-empty": (_HELLO, "stop"),
    "think-within": (_HELLO, "stop"),
    "think-twice": (_HELLO.replace(" ", " "), "stop"),
    "think-open": ("", "length"),
    "think-named": ("Use `<think>` and `</think>`, or a < b.", "stop"),
    "think-never-closed": ("The tag <think> opens it.", "stop"),
    "think-letter-by-letter": (_HELLO, "stop"),
    **_all(
        """think-unopened think-unopened-at-once think-only-closed think-closed-twice think-spaced think-attribute
        think-seed think-magistral content-very-deep""",
        (_HELLO, "stop"),
    ),
    "think-in-code": ("```\n<think>\n</think>\n```", "stop"),
    "reasoning-content": (_HELLO, "stop"),
    "reasoning": (_HELLO, "stop"),
    "reasoning-parts": (_HELLO, "stop"),
    "content-filter": ("Hel", "content_filter"),
    "content-filter-at-once": ("", "content_filter"),
    "length": ("Hello", "length"),
    "length-at-once": ("", "length"),
    "other-reason": ("Hello", "other"),
    "number-reason": ("Hello", "other"),
    "well": (_HELLO, "stop"),
    "no-finish-reason": (_HELLO, "unknown"),
    "no-finish-no-done": (_HELLO, "unknown"),
    "text-for-delta": (_HELLO, "stop"),
    "content-number": ("420.5", "stop"),
    "line-separator": (f"{_HELLO}\u2028\u0085\u000b", "stop"),
    "many-lines": (_HELLO, "unknown"),
    **_all(
        """delta-null delta-missing delta-text choice-null choice-text choices-null choices-empty choices-missing
        choices-object data-null data-empty data-list data-number data-words huge-number nan deep usage-null-tokens
        usage-strings usage-list usage-negative usage-nan usage-missing no-done role-only no-ids content-list
        content-object message-for-delta message-repeats two-choices comments crlf cr bom no-last-newline two-in-one
        document document-as-stream document-as-event lines hangs-after-end cut-after-end error-after-end""",
        (_HELLO, "stop"),
    ),
}
_UNAVAILABLE = _all(
    """nothing error-reason cut cut-in-an-event error-in-mid-stream error-text-in-mid-stream error-event
    error-in-200 html html-as-stream no-body broken-document broken-event very-long-line endless-line
    longer-than-a-message limited broken""",
    "",
)
_CALLS: dict[str, Called] = {
    "call": [_HUE],
    **_all("calls-share-index calls-share-index-at-once", [_HUE, _ONE, _TWO]),
    **_all(
        """calls-share-index-in-pieces calls-without-index calls-without-index-in-pieces calls-without-id
        calls-without-anything calls-without-anything-at-once calls-with-empty-ids calls-with-null-ids
        calls-with-one-id calls-with-number-ids calls-with-long-ids""",
        [_HUE, _ONE],
    ),
    "calls-with-one-id-and-index": [_ONE, _TWO],
    **_all(
        """id-repeated call-repeated name-split name-late arguments-object call-null calls-null call-alone call-flat
        function-call call-in-message call-and-stop""",
        [_HUE],
    ),
    **_all("arguments-missing arguments-empty", [("weather", "{}")]),
    "arguments-cut": [("weather", '{"city":"Hu')],
    "arguments-list": [("weather", '["Huế"]')],
    "arguments-null": [("weather", "null")],
    "arguments-number": [("weather", "7")],
    "arguments-nan": [("weather", '{"city": NaN}')],
    "arguments-twice": [("weather", '{"city": "Huế"}{"city": "Huế"}')],
    "arguments-deep": [("weather", '{"city":' * 5000 + "1" + "}" * 5000)],
    "arguments-deep-object": [("weather", '{"city": ' * 300 + "1" + "}" * 300)],
    "arguments-nul": [("weather", '{"city": "H\ufffdu\ufffd"}')],
    **_all("arguments-long arguments-very-long", [("weather", '{"city": "' + "x" * 99_991)]),
    "name-unknown": [("wea_ther__", _HUE[1])],
    **_all("name-empty name-null", [("unnamed", _HUE[1])]),
    "name-long": [("x" * 64, _HUE[1])],
    "function-null": [("unnamed", "{}")],
    "calls-too-many": [("order", f'{{"n": {n}}}') for n in range(64)],
}


class _Provider:
    """The server, and models that each misbehave in one way."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

        async def find_endpoint() -> Endpoint:
            return Endpoint(provider.base_url, "sk-a-secret")

        self.connection = OpenAIConnection(find_endpoint)

    def model(
        self, switch: str, manner: Manner | None = None, *, context_tokens: int = 0, output: int = 100
    ) -> "_Model":
        """Return a model that nobody has asked yet."""
        self._provider.bodies.clear()
        chat = OpenAIChatModel("some-model", switch, self.connection, _PATIENCE, manner or Manner())
        counter = EstimatingTokenCounter()
        model = ServedModel("some-model", "openai", context_tokens, chat, counter, lambda: Condition(ModelState.READY))
        return _Model(self._provider, Catalogue({"some-model": model}, "some-model"), Defaults(output, 0.7))


@dataclass(frozen=True, slots=True)
class _Model:
    provider: Provider
    catalogue: Catalogue
    defaults: Defaults

    @property
    def sent(self) -> list[Json]:
        """What it was asked so far."""
        return [json.loads(body) for body in self.provider.bodies]

    async def asked(self, *messages: Message, tool_required: bool = False) -> list[Part]:
        """Return its answer, as conversations get it."""
        question = Question(messages or (Message("user", "Hi"),), tools=_TOOLS, tool_required=tool_required)
        return [part async for part in generate(self.catalogue, self.defaults, question)]


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[_Provider]:
    async with misbehaving() as server:
        provider = _Provider(server)
        yield provider
        await provider.connection.close()


def _summary(parts: list[Part]) -> Summary:
    assert isinstance(parts[-1], Summary)
    return parts[-1]


def _text(parts: list[Part]) -> str:
    taken_back = max((at for at, part in enumerate(parts) if isinstance(part, TakenBack)), default=0)
    return "".join(part for part in parts[taken_back:] if isinstance(part, str))


@pytest.mark.parametrize("switch", _TEXTS)
async def test_a_whole_answer_is_kept_whatever_its_shape(provider: _Provider, switch: str) -> None:
    model = provider.model(switch)
    parts = await model.asked()
    text, reason = _TEXTS[switch]
    summary = _summary(parts)
    assert (_text(parts), summary.finish_reason) == (text, reason)
    assert all(part for part in parts)
    assert 0 <= min(summary.input_tokens, summary.output_tokens) <= max(summary.input_tokens, summary.output_tokens)
    assert max(summary.input_tokens, summary.output_tokens) < 2**31
    assert len(model.sent) == 1


@pytest.mark.parametrize("switch", _UNAVAILABLE)
async def test_an_answer_that_is_not_whole_is_none(provider: _Provider, switch: str) -> None:
    model = provider.model(switch)
    with pytest.raises(ModelUnavailable) as failure:
        await model.asked()
    assert "sk-a-secret" not in f"{failure.value!r}"


@pytest.mark.parametrize("switch", _CALLS)
async def test_calls_are_told_apart_and_each_has_an_id_of_its_own(provider: _Provider, switch: str) -> None:
    model = provider.model(switch)
    parts = await model.asked()
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert [(call.name, call.arguments) for call in calls] == _CALLS[switch]
    assert len({call.call_id for call in calls}) == len(calls)
    assert all(0 < len(call.call_id) <= 100 for call in calls)
    assert _summary(parts).finish_reason == "tool_calls"
    results = [Message("tool", "done", (), call.call_id) for call in calls]
    parts = await model.asked(Message("user", "Hi"), Message("assistant", "", tuple(calls)), *results)
    assert _text(parts) == "Done."


async def test_thoughts_are_shown_where_they_are_wanted(provider: _Provider) -> None:
    for switch, text in (
        ("think", "<think>secret plan</think>\n\nHello there"),
        ("reasoning-content", "<think>secret plan</think>\nHello there"),
        ("reasoning", "<think>secret</think>\nHello there"),
        ("reasoning-parts", "<think>secret plan</think>\nHello there"),
    ):
        model = provider.model(switch, Manner(shows_thoughts=True))
        assert _text(await model.asked()) == text


_REFUSED = sorted(name for name in REFUSALS if name.startswith("no-") and name not in ("no-model", "no-messages"))


@pytest.mark.parametrize("switch", _REFUSED)
async def test_a_parameter_that_a_model_refuses_is_left_out_from_then_on(provider: _Provider, switch: str) -> None:
    model = provider.model(switch)
    assert _text(await model.asked(tool_required=True)) == _HELLO
    before = len(model.sent)
    assert _text(await model.asked(tool_required=True)) == _HELLO
    assert (before <= 6, len(model.sent)) == (True, before + 1)


async def test_the_limit_of_the_output_is_renamed_before_it_is_left_out(provider: _Provider) -> None:
    model = provider.model("no-max-tokens-openai")
    await model.asked()
    assert model.sent[-1]["max_completion_tokens"] == 100
    model = provider.model("no-parameters")
    await model.asked()
    last = model.sent[-1]
    assert set(last) == {"model", "messages", "stream", "tools"}


async def test_the_limit_of_the_output_is_lowered_to_what_the_model_says(provider: _Provider) -> None:
    model = provider.model("most-output", output=500)
    assert _text(await model.asked()) == _HELLO
    assert [one["max_tokens"] for one in model.sent] == [500, 100]


async def test_settings_say_what_a_model_takes(provider: _Provider) -> None:
    dialect = Dialect(frozenset({"temperature", "stream_options"}), "max_completion_tokens")
    model = provider.model("no-parameters-fastapi", Manner(dialect=dialect))
    await model.asked()
    assert "max_completion_tokens" in model.sent[0]
    assert "temperature" not in model.sent[0]


@pytest.mark.parametrize(
    ("switch", "requests"),
    [
        ("no-model", 1),
        ("no-messages", 1),
        ("always-max-tokens", 2),
        ("refusal-html", 1),
        ("refusal-deep", 1),
        ("wrong-key", 1),
    ],
)
async def test_what_teaches_nothing_is_refused(provider: _Provider, switch: str, requests: int) -> None:
    model = provider.model(switch)
    with pytest.raises(ModelRefused) as failure:
        await model.asked()
    assert len(model.sent) == requests
    assert "sk-a-secret" not in repr(failure.value)


async def test_a_request_that_a_filter_refuses_says_so(provider: _Provider) -> None:
    model = provider.model("filtered")
    with pytest.raises(ContentFiltered):
        await model.asked()
    assert len(model.sent) == 1


@pytest.mark.parametrize("switch", ["context", "context-unnamed"])
@pytest.mark.parametrize("context_tokens", [0, 32768])
async def test_a_prompt_that_is_too_long_for_the_model_is_given_shorter(
    provider: _Provider, switch: str, context_tokens: int
) -> None:
    said = [Message(role, f"{n} " * 400) for n in range(10) for role in ("user", "assistant")]
    model = provider.model(switch, context_tokens=context_tokens)
    assert _text(await model.asked(*said, Message("user", "and now?"))) == _HELLO
    assert 1 < len(model.sent) <= 3


async def test_a_prompt_that_never_fits_is_refused_as_too_long(provider: _Provider) -> None:
    model = provider.model("context-always")
    with pytest.raises(ContextLengthExceeded):
        await model.asked()
    assert len(model.sent) <= 3


@pytest.mark.parametrize("length", [208_000, 5_000_000])
async def test_a_long_result_is_shortened_for_the_model(provider: _Provider, length: int) -> None:
    call = ToolCall("a", "weather", "{}")
    result = "begin" + "ộ" * (length // 3) + "end"
    asked = (Message("user", "Hi"), Message("assistant", "", (call,)), Message("tool", result, (), "a"))
    model = provider.model("strict", context_tokens=32768)
    assert _text(await model.asked(Message("system", "Be kind."), *asked)) == _HELLO
    told = model.sent[0]["messages"][-1]["content"]
    assert told.startswith("begin")
    assert told.endswith("end")
    assert "characters are left out" in told
    assert 20_000 < len(told.encode()) < 32768 * 3


async def test_many_long_calls_are_shortened_for_the_model(provider: _Provider) -> None:
    calls = tuple(ToolCall(f"c{n}", "order", '{"n":"' + "x" * 99_000 + '"}') for n in range(64))
    results = [Message("tool", "y" * 10_000, (), call.call_id) for call in calls]
    model = provider.model("strict", context_tokens=32768)
    assert _text(await model.asked(Message("user", "Hi"), Message("assistant", "", calls), *results)) == _HELLO


@pytest.mark.parametrize("arguments", ['{"city":"' + "x" * 99_990, '{"city":"' + "x" * 99_000 + '"}'])
async def test_a_long_call_is_shortened_for_the_model(provider: _Provider, arguments: str) -> None:
    model = provider.model("strict", context_tokens=8192)
    call = ToolCall("a", "weather", arguments)
    asked = (Message("user", "Hi"), Message("assistant", "So " * 20_000, (call,)))
    results = Message("tool", "blue " * 20_000, (), "a")
    assert _text(await model.asked(Message("user", "old"), Message("assistant", "older"), *asked, results)) == _HELLO
    *_, sent, told = model.sent[0]["messages"]
    assert len(sent["tool_calls"][0]["function"]["arguments"]) < 2100
    assert told["content"].startswith("blue")


def test_every_switch_is_tried() -> None:
    named = {name for name in REFUSALS if name not in ("limited", "broken")}
    assert set(SWITCHES) == {*_TEXTS, *_UNAVAILABLE, *_CALLS, *named}
