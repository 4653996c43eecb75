"""How much of a conversation goes into one request."""

from hypothesis import given
from hypothesis import strategies as st

from services.conversations.backends.prompt_size import within
from services.conversations.rules import Metadata, PromptMessage, RunState, ToolRequest, together
from services.conversations.rules.outcomes import nothing_said

_TEXTS = st.text(max_size=40)
_HISTORY = st.lists(st.builds(PromptMessage, st.sampled_from(["user", "assistant"]), _TEXTS), max_size=8)
_CALL = (ToolRequest("a", "weather", "{}"),)


@given(_HISTORY, st.lists(st.text(max_size=2000), max_size=3), st.integers(200, 3000))
def test_a_prompt_is_within_its_size_and_keeps_the_question(
    history: list[PromptMessage], results: list[str], most: int
) -> None:
    asked = [PromptMessage("user", "?"), PromptMessage("assistant", "", _CALL)]
    told = [PromptMessage("tool", text, (), "a") for text in results]
    system = PromptMessage("system", "Be kind.")
    kept = within([system, *history, *asked, *told], most)
    assert kept[0] == system
    assert [message.role for message in kept[-len(told) - 2 :]] == ["user", "assistant", *["tool"] * len(told)]
    # A note of what is left out takes some bytes, however little there is room for.
    assert sum(len(message.text.encode()) for message in kept) <= most + 80 * len(told)
    said = kept[1 : -len(told) - 2]
    assert said == history[len(history) - len(said) :]


def test_a_small_prompt_is_left_alone() -> None:
    messages = [PromptMessage("user", "ộ" * 100)]
    assert within(messages, 300) == messages


def test_tokens_together_fit_the_contract() -> None:
    most = Metadata(input_tokens=2**31 - 1, output_tokens=5)
    assert together(most, most).input_tokens == 2**31 - 1


def test_why_nothing_was_said_is_told() -> None:
    outcomes = [nothing_said(reason) for reason in ("stop", "length", "content_filter")]
    assert {one.state for one in outcomes} == {RunState.FAILED}
    assert [one.error_reason for one in outcomes] == ["EMPTY_ANSWER", "EMPTY_ANSWER", "CONTENT_FILTERED"]
    assert len({one.error_message for one in outcomes}) == 3
