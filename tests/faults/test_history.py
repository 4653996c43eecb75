"""The checker finds what it is there to find."""

from tests.faults.history import Entry, check

_GOOD: list[Entry] = [
    {"kind": "accepted", "t": 1.0, "conversation": "c", "text": "one"},
    {"kind": "accepted", "t": 2.0, "conversation": "c", "text": "two"},
    {"kind": "fault", "t": 3.0, "fault": "kill worker"},
    {"kind": "run", "t": 9.0, "attempt": 1, "created": 1.0, "ended": 2.5},
    {"kind": "run", "t": 9.0, "attempt": 3, "created": 2.0, "ended": 7.0},
    {"kind": "asked", "t": 9.0, "count": 3},
    {"kind": "refused", "t": 9.0, "count": 1},
]


def _stored(*messages: tuple[str, str]) -> Entry:
    return {"kind": "stored", "t": 9.0, "conversation": "c", "messages": [list(message) for message in messages]}


_ONE, _TWO = ("user", "one"), ("user", "two")
_TO_ONE, _TO_TWO = ("assistant", "You said: one"), ("assistant", "You said: two")


def test_a_good_history_holds() -> None:
    verdict = check([*_GOOD, _stored(_ONE, _TWO, _TO_ONE, _TO_TWO)])
    assert verdict.holds
    assert (verdict.accepted, verdict.faults) == (2, {"kill worker": 1})
    assert (verdict.extra_model_calls, verdict.taken_up_again, verdict.stale_fences_refused) == (1, 2, 1)
    assert (verdict.wait_p50, verdict.drained_seconds) == (5.0, 4.0)


def test_a_lost_answer_is_found() -> None:
    assert check([*_GOOD, _stored(_ONE, _TO_ONE, _TWO)]).lost == 1


def test_a_lost_conversation_is_found() -> None:
    assert check(_GOOD).lost == 4


def test_a_doubled_message_and_a_doubled_answer_are_found() -> None:
    assert check([*_GOOD, _stored(_ONE, _TO_ONE, _TWO, _TO_TWO, _TO_TWO)]).doubled == 1
    assert check([*_GOOD, _stored(_ONE, _ONE, _TO_ONE, _TWO, _TO_TWO)]).doubled == 1


def test_swapped_answers_are_found() -> None:
    verdict = check([*_GOOD, _stored(_ONE, _TWO, _TO_TWO, _TO_ONE)])
    assert verdict.out_of_order == 2
    assert not verdict.holds


def test_an_empty_history_shows_nothing() -> None:
    assert not check([]).holds
