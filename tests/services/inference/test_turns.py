"""History in the form that strict providers take, whatever happened in it."""

from hypothesis import given
from hypothesis import strategies as st

from services.inference.backends.openai_chat_model import written
from services.inference.rules import Message, ToolCall
from services.inference.rules.turns import in_turns
from tests.support.model_server.turns import fault_of

_TEXTS = st.one_of(st.sampled_from(["", " \n", "a", "<think>b</think>", "c</think>"]), st.text(max_size=5))
_IDS = st.sampled_from(["", "a", "b", "a b", "ộ", "x" * 70, "call_0"])
_ARGUMENTS = st.sampled_from(["{}", '{"n": 1}', '{"city":"Hu', "[]", "", "null", '{"n": NaN}', "{" * 9000])
_CALLS = st.lists(st.builds(ToolCall, _IDS, st.sampled_from(["weather", "order"]), _ARGUMENTS), max_size=3)
# Anything in any order: what no run of today leaves behind, one of tomorrow may.
_MESSAGES = st.one_of(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), _TEXTS),
    st.builds(lambda text, calls: Message("assistant", text, tuple(calls)), _TEXTS, _CALLS),
    st.builds(lambda text, key: Message("tool", text, (), key), _TEXTS, _IDS),
)


@given(st.lists(_MESSAGES, max_size=12))
def test_whatever_happened_is_sent_in_turns(messages: list[Message]) -> None:
    sent = [written(message) for message in in_turns(messages)]
    assert fault_of(sent) == ""


@st.composite
def _runs(draw: st.DrawFn) -> tuple[list[Message], list[str]]:
    """Return what runs leave behind, each with its question, and the questions."""
    messages, questions = [Message("system", "Be kind.")], []
    for number in range(draw(st.integers(1, 6))):
        questions.append(f"question {number}")
        messages.append(Message("user", questions[-1]))
        # Succeeded or cancelled in the middle, or failed and cancelled before anything was said.
        if draw(st.booleans()):
            messages.append(Message("assistant", draw(_TEXTS)))
    if messages[-1].role == "assistant":
        questions.append("last")
        messages.append(Message("user", "last"))
    for _ in range(draw(st.integers(0, 3))):
        calls = draw(_CALLS)
        messages.append(Message("assistant", draw(_TEXTS), tuple(calls)))
        messages += [Message("tool", draw(_TEXTS), (), call.call_id) for call in calls if draw(st.booleans())]
    return messages, questions


@given(_runs())
def test_nothing_that_was_asked_is_lost_and_every_call_has_a_result(said: tuple[list[Message], list[str]]) -> None:
    messages, questions = said
    turned = in_turns(messages)
    assert fault_of([written(message) for message in turned]) == ""
    asked = "\n\n".join(message.text for message in turned if message.role == "user").split("\n\n")
    assert [one for one in asked if one != "Go on."] == questions
    assert sum(len(message.tool_calls) for message in turned) == sum(len(message.tool_calls) for message in messages)


@given(_runs())
def test_what_is_in_turns_stays_as_it_is(said: tuple[list[Message], list[str]]) -> None:
    turned = in_turns(said[0])
    assert in_turns(turned) == turned


def test_two_questions_in_a_row_are_one_turn() -> None:
    said = [Message("user", "one"), Message("assistant", " \n"), Message("user", "two")]
    assert in_turns(said) == [Message("user", "one\n\ntwo")]


def test_arguments_that_are_no_object_are_told_as_the_result() -> None:
    call = ToolCall("a", "weather", '{"city":"Hu')
    _, asked, result = in_turns(
        [Message("user", "?"), Message("assistant", "", (call,)), Message("tool", "failed: bad", (), "a")]
    )
    assert asked.tool_calls[0].arguments == "{}"
    assert result.text.startswith("failed: bad")
    assert '{"city":"Hu' in result.text


def test_calls_of_one_id_have_their_results_in_order_and_ids_of_their_own() -> None:
    calls = (ToolCall("a", "order", '{"n": 1}'), ToolCall("a", "order", '{"n": 2}'))
    results = [Message("tool", "one", (), "a"), Message("tool", "two", (), "a")]
    _, asked, *told = in_turns([Message("user", "?"), Message("assistant", "", calls), *results])
    assert [one.tool_call_id for one in told] == [call.call_id for call in asked.tool_calls]
    assert [one.text for one in told] == ["one", "two"]


def test_thoughts_are_not_given_back() -> None:
    said = [
        Message("user", "?"),
        Message("assistant", "<think>secret</think>\nblue"),
        Message("user", "<think>mine</think>"),
    ]
    assert [message.text for message in in_turns(said)] == ["?", "blue", "<think>mine</think>"]
