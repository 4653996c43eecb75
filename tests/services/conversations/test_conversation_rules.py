"""What conversations decide."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conversations.errors import FieldNotUpdatable
from services.conversations.rules import (
    MAX_MODEL_TRIES,
    MAX_UNREACHED_TRIES,
    CallState,
    Context,
    Conversation,
    Message,
    Metadata,
    PromptMessage,
    Round,
    Run,
    RunEvent,
    RunState,
    ToolCall,
    ToolRequest,
    asked_for,
    last_event,
    most_tries,
    prompt,
    retold,
    shown,
    title_of,
    together,
    updated,
)

_ID = UUID("01980000-0000-7000-8000-000000000001")
_OTHER_ID = UUID("01980000-0000-7000-8000-000000000002")
_AT = datetime(2025, 1, 2, tzinfo=UTC)
_CONTEXT = Context(topic="food", user_level="beginner", target_language="en", learning_goals=("order a meal",))
_CONVERSATION = Conversation(_ID, "Lunch", _CONTEXT, 3, _AT, _AT)
_NOTHING_WANTED = Conversation(_OTHER_ID, "", Context(), 0, _AT, _AT)

_contexts = st.builds(Context, st.text(), st.text(), st.text(), st.lists(st.text(max_size=5), max_size=3).map(tuple))
_conversations = st.builds(
    Conversation, st.uuids(), st.text(), _contexts, st.integers(0, 9), st.just(_AT), st.just(_AT)
)


def _message(role: str, text: str) -> Message:
    return Message(_OTHER_ID, _ID, 1, role, text, _ID, Metadata(), _AT)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("", ""),
        (" \n\t\n ", ""),
        ("Hello", "Hello"),
        ("  Hello  \nand more", "Hello"),
        ("\n\nsecond line first", "second line first"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 60 + "…"),
        ("word " * 12, ("word " * 12).strip()),
        ("word " * 20, ("word " * 12).strip() + "…"),
        ("word " * 10 + "extraordinary things", ("word " * 10).strip() + "…"),
        ("Xin chào các bạn", "Xin chào các bạn"),
        ("x" * 58 + "👨‍👩‍👧‍👦 and more", "x" * 58 + "…"),
        ("👍🏽" * 40, "👍🏽" * 30 + "…"),
    ],
)
def test_a_conversation_is_named_after_its_first_line(text: str, title: str) -> None:
    assert title_of(text) == title


@given(st.text())
def test_a_title_is_one_short_line_of_what_was_said(text: str) -> None:
    title = title_of(text)
    assert len(title) <= 61
    assert len(title.splitlines()) <= 1
    assert title.removesuffix("…") in text
    assert bool(title) == bool(text.strip()) or not any(line.strip() for line in text.splitlines())


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["title"], replace(_CONVERSATION, title="Dinner")),
        (["context"], replace(_CONVERSATION, context=Context(topic="wine"))),
        (["context.topic"], replace(_CONVERSATION, context=replace(_CONTEXT, topic="wine"))),
        (["context.learning_goals"], replace(_CONVERSATION, context=replace(_CONTEXT, learning_goals=()))),
        (
            ["title", "context.user_level"],
            replace(_CONVERSATION, title="Dinner", context=replace(_CONTEXT, user_level="")),
        ),
        (["context", "context.topic"], replace(_CONVERSATION, context=Context(topic="wine"))),
        ([], replace(_CONVERSATION, title="Dinner", context=replace(_CONTEXT, topic="wine"))),
    ],
)
def test_an_update_changes_what_the_mask_names(paths: list[str], expected: Conversation) -> None:
    wanted = replace(_NOTHING_WANTED, title="Dinner", context=Context(topic="wine"))
    assert updated(_CONVERSATION, wanted, paths) == expected


@pytest.mark.parametrize(
    "path", ["id", "message_count", "create_time", "context.mood", "context.topic.x", "", ".", "title.x", "Title", "*"]
)
def test_an_update_refuses_what_is_not_there_or_the_servers(path: str) -> None:
    with pytest.raises(FieldNotUpdatable) as raised:
        updated(_CONVERSATION, _NOTHING_WANTED, ["title", path])
    assert raised.value.fields == {"field": path}


@given(_conversations, _conversations)
def test_an_update_never_touches_what_the_server_sets(conversation: Conversation, wanted: Conversation) -> None:
    for paths in ([], ["title", "context"]):
        changed = updated(conversation, wanted, paths)
        assert replace(changed, title="", context=Context()) == replace(conversation, title="", context=Context())


@given(_conversations, _conversations)
def test_an_update_may_be_repeated(conversation: Conversation, wanted: Conversation) -> None:
    once = updated(conversation, wanted, [])
    assert updated(once, wanted, []) == once
    assert updated(conversation, _NOTHING_WANTED, []) == conversation


def test_a_prompt_begins_with_who_the_assistant_is() -> None:
    said = [PromptMessage("user", "Hi"), PromptMessage("assistant", "Hello!"), PromptMessage("user", "Menu?")]
    assert prompt("Be kind.", Context(), said) == [
        PromptMessage("system", "Be kind."),
        PromptMessage("user", "Hi"),
        PromptMessage("assistant", "Hello!"),
        PromptMessage("user", "Menu?"),
    ]


def test_a_prompt_tells_what_the_context_holds() -> None:
    [system] = prompt("Be kind.", replace(_CONTEXT, learning_goals=("order a meal", "pay")), [])
    assert system.text.splitlines() == [
        "Be kind.",
        "The topic of this conversation is: food.",
        "The user practises the language en; answer in it.",
        "The user's level is beginner; use words of that level.",
        "The user's goals: order a meal; pay.",
    ]


@given(_contexts, st.lists(st.text(), max_size=5))
def test_a_prompt_keeps_what_was_said(context: Context, texts: list[str]) -> None:
    first, *said = prompt("Be kind.", context, [PromptMessage("user", text) for text in texts])
    assert first.role == "system"
    assert [message.text for message in said] == texts


_ANSWER = _message("assistant", "Here.")


@pytest.mark.parametrize(
    ("state", "output", "expected"),
    [
        (RunState.SUCCEEDED, _ANSWER, RunEvent("completed", message=_ANSWER)),
        (RunState.CANCELLED, _ANSWER, RunEvent("cancelled", message=_ANSWER)),
        (RunState.CANCELLED, None, RunEvent("cancelled")),
        (RunState.FAILED, None, RunEvent("failed", error_reason="MODEL_REFUSED", error_message="no key")),
    ],
)
def test_an_ended_run_ends_its_stream(state: RunState, output: Message | None, expected: RunEvent) -> None:
    run = Run(_ID, _ID, 1, _OTHER_ID, state, error_reason="MODEL_REFUSED", error_message="no key")
    event = last_event(run, output)
    assert event == expected
    assert event.is_last


@pytest.mark.parametrize("state", RunState)
def test_a_run_has_ended_unless_it_waits_or_runs(state: RunState) -> None:
    assert state.has_ended == (state.value in ("succeeded", "failed", "cancelled"))


@pytest.mark.parametrize("kind", ["started", "delta", "restarted"])
def test_other_events_are_followed_by_more(kind: str) -> None:
    assert not RunEvent(kind).is_last


@pytest.mark.parametrize("reason", ["MODEL_UNAVAILABLE", "INTERNAL", "RATE_LIMITED"])
def test_a_model_that_fails_is_asked_three_times_and_one_that_nobody_reaches_for_a_minute(reason: str) -> None:
    assert most_tries(reason) == MAX_MODEL_TRIES
    assert most_tries("UNAVAILABLE") == MAX_UNREACHED_TRIES


def _round(*calls: ToolCall, depth: int = 0) -> Round:
    return Round(depth, "Wait. ", Metadata("m", 3, 4, "tool_calls", len(calls)), calls, _AT)


def test_calls_have_the_same_ids_whoever_works_them_out_and_unknown_tools_have_failed() -> None:
    asked = [ToolRequest("a", "order", "{}"), ToolRequest("b", "order", "{}"), ToolRequest("c", "nothing", "{}")]
    calls = asked_for(_ID, 0, asked, {"order": _OTHER_ID})
    assert calls == asked_for(_ID, 0, asked, {"order": _OTHER_ID})
    assert len({call.call_id for call in [*calls, *asked_for(_ID, 1, asked, {})]}) == 6
    assert [call.state for call in calls] == [CallState.STARTED, CallState.STARTED, CallState.FAILED]
    assert (calls[2].tool_id, calls[2].result) == (None, "failed: there is no tool nothing")
    assert not _round(*calls).has_ended
    assert _round(calls[2]).has_ended


def test_a_round_is_retold_to_the_model_with_each_result_beside_its_call() -> None:
    (call,) = asked_for(_ID, 0, [ToolRequest("a", "order", '{"n": 1}')], {"order": _OTHER_ID})
    said = retold(_round(replace(call, state=CallState.SUCCEEDED, result="done")))
    assert said == [
        PromptMessage("assistant", "Wait. ", (ToolRequest("a", "order", '{"n": 1}'),)),
        PromptMessage("tool", "done", (), "a"),
    ]


def test_an_answer_shows_its_calls_cut_and_in_order() -> None:
    (call,) = asked_for(_ID, 0, [ToolRequest("a", "order", "{}")], {"order": _OTHER_ID})
    long = replace(call, state=CallState.SUCCEEDED, result="x" * 1001)
    exact = replace(call, state=CallState.SUCCEEDED, result="x" * 1000)
    found = shown([_round(exact), _round(long, call, depth=1)])
    assert [(one.round, len(one.result), one.truncated) for one in found] == [
        (1, 1000, False),
        (2, 1000, True),
        (2, 0, False),
    ]


def test_rounds_together_sum_up_and_end_as_the_last_one() -> None:
    total = together(together(Metadata(), Metadata("m", 3, 4, "tool_calls", 2)), Metadata("m", 5, 6, "stop"))
    assert total == Metadata("m", 8, 10, "stop", 2)
