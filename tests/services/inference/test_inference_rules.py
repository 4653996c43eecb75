"""Which messages fit a model."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.errors import ContextLengthExceeded
from services.inference.rules import Message, estimate, fit, input_budget, most_tokens, output_limit


def _messages(roles: str) -> list[Message]:
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return [Message(names[role], "") for role in roles]


@pytest.mark.parametrize(
    ("roles", "counts", "budget", "kept"),
    [
        ("u", [5], 5, [0]),
        ("sauau", [1, 1, 1, 1, 1], 5, [0, 1, 2, 3, 4]),  # all of it fits: a greeting may stand first
        ("suauau", [1, 1, 1, 1, 1, 1], 5, [0, 3, 4, 5]),  # not an answer without its question
        ("suauau", [1, 1, 1, 1, 1, 1], 4, [0, 3, 4, 5]),
        ("suauau", [1, 1, 1, 1, 1, 1], 3, [0, 5]),
        ("suauau", [1, 9, 1, 1, 1, 1], 6, [0, 3, 4, 5]),
        ("ususu", [1, 1, 9, 1, 1], 4, [1, 3, 4]),
        ("aaau", [1, 1, 1, 1], 3, [3]),
        ("uauat", [1, 1, 1, 1, 1], 4, [2, 3, 4]),  # a result stays with its call, and that with its question
        ("uauatat", [5, 5, 1, 1, 1, 1, 1], 6, [2, 3, 4, 5, 6]),
    ],
)
def test_the_oldest_go_first_and_a_user_begins(roles: str, counts: list[int], budget: int, kept: list[int]) -> None:
    assert fit(_messages(roles), counts, budget) == kept


def test_what_always_stays_and_does_not_fit_is_refused_with_its_length() -> None:
    with pytest.raises(ContextLengthExceeded) as failure:
        fit(_messages("sauu"), [3, 1, 1, 8], 10)
    with pytest.raises(ContextLengthExceeded):
        fit(_messages("uauat"), [1, 1, 4, 4, 4], 10)
    assert failure.value.fields == {"tokens": "11", "limit": "10"}


def test_a_growing_conversation_keeps_its_beginning_for_several_turns() -> None:
    starts = []
    for turns in range(20, 60):
        roles = "s" + "ua" * turns + "u"
        starts.append(fit(_messages(roles), [10] * len(roles), 400)[1])
    moves = sum(before != after for before, after in pairwise(starts))
    assert moves <= 9
    assert starts == sorted(starts)


def test_one_long_message_is_not_given_up_for_a_steady_beginning() -> None:
    assert fit(_messages("uaua" + "u"), [5, 5, 80, 5, 6], 100) == [2, 3, 4]


_CONVERSATIONS = st.lists(st.tuples(st.sampled_from("sua"), st.integers(0, 50)), min_size=1, max_size=30)


@given(_CONVERSATIONS, st.integers(-5, 400))
def test_fit_keeps_its_promises(conversation: list[tuple[str, int]], budget: int) -> None:
    messages = _messages("".join(role for role, _ in conversation))
    counts = [count for _, count in conversation]
    system = [index for index, message in enumerate(messages) if message.role == "system"]
    last = len(messages) - 1
    try:
        kept = fit(messages, counts, budget)
    except ContextLengthExceeded:
        assert sum(counts[index] for index in {*system, last}) > budget
        return
    assert sum(counts[index] for index in kept) <= budget
    assert kept == sorted(set(kept))
    assert last in kept
    assert set(system) <= set(kept)
    others = [index for index in kept if messages[index].role != "system"]
    if len(kept) < len(messages) and others and others[0] != last:
        assert messages[others[0]].role == "user"
    if others:
        # Nothing is missing in the middle.
        assert others == [index for index in range(others[0], last + 1) if index not in system]


@given(st.text())
def test_an_estimate_grows_with_the_bytes_and_never_passes_their_number(text: str) -> None:
    message = Message("user", text)
    assert len(text.encode()) / 3 + 8 <= estimate(message) <= most_tokens([message])


@given(st.integers(512, 200_000), st.integers(1, 100_000), st.data())
def test_input_and_output_share_the_context(context: int, wanted: int, data: st.DataObject) -> None:
    budget = input_budget(context, wanted)
    used = data.draw(st.integers(0, budget))
    limit = output_limit(context, wanted, used)
    assert budget >= context // 2
    assert min(wanted, context // 4) <= limit <= wanted
    assert used + limit < context
