"""The checker finds what it is there to find: a history that was tampered with in any way does not hold."""

import random
from collections.abc import Callable
from copy import deepcopy

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.faults.checker import WRONG, check
from tests.faults.history import Entry


def _history(*conversations: str, choose: random.Random | None = None) -> list[Entry]:
    """Return a history that holds. Each conversation is a name and how many messages were sent to it: `c2`."""
    choose = choose or random.Random(0)  # noqa: S311 - no secret
    sent: list[list[list[Entry]]] = []
    at_the_end: list[Entry] = []
    for name, count in ((one[0], int(one[1:])) for one in conversations):
        texts = [f"message {number} to {name}" for number in range(count)]
        runs = [f"run {number} of {name}" for number in range(count)]
        about = [{"t": 1.0 + n, "conversation": name, "text": text} for n, text in enumerate(texts)]
        pairs = zip(about, runs, strict=True)
        opened = {"kind": "opened", "t": 0.5, "conversation": name}
        sent.append([[opened]])
        sent[-1].extend([{"kind": "sending", **one}, {"kind": "accepted", **one, "run": run}] for one, run in pairs)
        said: list[Entry] = []
        waiting = list(zip(texts, runs, strict=True))
        asked: list[tuple[str, str]] = []
        while waiting or asked:
            if waiting and (not asked or choose.random() < 0.5):
                asked.append(waiting.pop(0))
                said.append({"role": "user", "text": asked[-1][0], "run": asked[-1][1]})
            else:
                text, run = asked.pop(0)
                said.append({"role": "assistant", "text": f"You said: {text}", "run": run})
        messages = [{"sequence": number, **one} for number, one in enumerate(said, 1)]
        at_the_end.append({"kind": "stored", "t": 90.0, "conversation": name, "messages": messages})
        at_the_end += [_run(name, run, number, choose.choice([1, 1, 3])) for number, run in enumerate(runs)]
    history: list[Entry] = []
    while any(sent):
        history += choose.choice([one for one in sent if one]).pop(0)
    history.insert(choose.randint(0, len(history)), {"kind": "fault", "t": 3.0, "fault": "kill worker"})
    figures = [{"kind": kind, "t": 91.0, "count": count} for kind, count in (("asked", 99), ("refused", 1))]
    return [*history, *at_the_end, *figures, {"kind": "doubled", "t": 2.0, "count": 4}]


def _run(conversation: str, run: str, number: int, attempt: int) -> Entry:
    times = {"created": 1.0 + number, "ended": 2.5 + 2 * number}
    told = {"state": "succeeded", "reason": "", "attempt": attempt}
    return {"kind": "run", "t": 90.0, "conversation": conversation, "run": run, **times, **told}


def _of(history: list[Entry], kind: str) -> list[Entry]:
    return [entry for entry in history if entry["kind"] == kind]


def test_a_good_history_holds() -> None:
    verdict = check(_history("c2"))
    assert verdict.holds
    assert verdict.findings == ()
    assert (verdict.accepted, verdict.faults, verdict.doubled_nudges) == (2, {"kill worker": 1}, 4)
    assert (verdict.extra_model_calls, verdict.stale_fences_refused) == (97, 1)
    assert (verdict.wait_p50, verdict.drained_seconds) == (2.5, 1.5)


def test_an_empty_history_shows_nothing() -> None:
    assert not check([]).holds


def _answer_first(history: list[Entry]) -> None:
    messages = _of(history, "stored")[0]["messages"]
    answer = next(one for one in messages if one["role"] == "assistant")
    question = next(one for one in messages if one["run"] == answer["run"])
    for key in ("role", "text"):
        question[key], answer[key] = answer[key], question[key]


def _said(history: list[Entry], role: str, text: str, run: str) -> None:
    messages = _of(history, "stored")[0]["messages"]
    messages.append({"sequence": len(messages) + 1, "role": role, "text": text, "run": run})


def _changed(kind: str, **changes: object) -> Callable[[list[Entry]], None]:
    return lambda history: _of(history, kind)[0].update(changes)


def _again(kind: str) -> Callable[[list[Entry]], None]:
    return lambda history: history.append(deepcopy(_of(history, kind)[0]))


def _without(kind: str) -> Callable[[list[Entry]], None]:
    return lambda history: history.remove(_of(history, kind)[0])


def _swapped_answers(history: list[Entry]) -> None:
    one, other = [said for said in _of(history, "stored")[0]["messages"] if said["role"] == "assistant"][:2]
    for key in ("text", "run"):
        one[key], other[key] = other[key], one[key]


_TAMPERED: dict[str, tuple[Callable[[list[Entry]], None], str]] = {
    "an answer before its question": (_answer_first, "out_of_order"),
    "two answers in the wrong order": (_swapped_answers, "out_of_order"),
    "a part of an answer beside it": (lambda h: _said(h, "assistant", "You said: mess", "run 0 of c"), "doubled"),
    "a foreign answer": (lambda h: _said(h, "assistant", "You said: hi", "run 0 of d"), "foreign"),
    "a question that was never sent": (lambda h: _said(h, "user", "hi", "run 7 of c"), "foreign"),
    "a third role": (lambda h: _said(h, "system", "hi", "run 0 of c"), "foreign"),
    "an answer cut short": (lambda h: _of(h, "stored")[0]["messages"][-1].update(text="You said: mess"), "foreign"),
    "a lost answer": (lambda h: _of(h, "stored")[0]["messages"].pop(), "lost"),
    "a doubled answer": (
        lambda h: _said(h, "assistant", "You said: message 1 to c", "run 1 of c"),
        "doubled",
    ),
    "a gap in the numbers": (lambda h: _of(h, "stored")[0]["messages"][-1].update(sequence=9), "out_of_order"),
    "a conversation that is stored twice": (_again("stored"), "doubled"),
    "a doubled conversation": (
        lambda h: h.append({**deepcopy(_of(h, "stored")[0]), "conversation": "another"}),
        "foreign",
    ),
    "an empty conversation that nobody opened": (
        lambda h: h.append({"kind": "stored", "t": 90.0, "conversation": "e", "messages": []}),
        "foreign",
    ),
    "a lost conversation": (_without("stored"), "lost"),
    "a run that never ended": (_changed("run", ended=0.0), "unended"),
    "a run that still runs": (_changed("run", state="running"), "unended"),
    "a run that failed": (_changed("run", state="failed", reason="MODEL_UNAVAILABLE"), "unended"),
    "a run that ended before it began": (_changed("run", ended=0.5), "unended"),
    "a run that ended after the next one": (_changed("run", ended=80.0), "out_of_order"),
    "a run of another conversation": (_changed("run", conversation="d"), "foreign"),
    "a run that is there twice": (_again("run"), "doubled"),
    "a run that is not there": (_without("run"), "lost"),
    "a message that was accepted and never sent": (_without("sending"), "foreign"),
    "a message that was never accepted": (_without("accepted"), "lost"),
    "a message that was accepted twice": (_again("accepted"), "doubled"),
    "a call that was answered INTERNAL": (
        lambda h: h.append({"kind": "error", "t": 5.0, "method": "SendMessage", "code": "INTERNAL", "details": ""}),
        "errors",
    ),
}


@pytest.mark.parametrize("kind", _TAMPERED)
def test_a_history_that_was_tampered_with_does_not_hold(kind: str) -> None:
    tamper, name = _TAMPERED[kind]
    history = _history("c2", "d2")
    tamper(history)
    verdict = check(history)
    assert not verdict.holds
    assert getattr(verdict, name) > 0, verdict


# Each changes a history in place, or does nothing; what it changes is never a matter of taste.
_JUDGED = ("opened", "sending", "accepted", "stored", "run")
_FREE = {"t", "created", "ended", "attempt"}
_TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["user", "assistant", "system", "succeeded", "c", "d"]))


def _entry(data: st.DataObject, history: list[Entry]) -> Entry:
    return data.draw(st.sampled_from([entry for entry in history if entry["kind"] in _JUDGED]))


def _messages(data: st.DataObject, history: list[Entry]) -> list[Entry]:
    messages: list[Entry] = data.draw(st.sampled_from(_of(history, "stored")))["messages"]
    return messages


def _renumber(messages: list[Entry]) -> None:
    for number, message in enumerate(messages, 1):
        message["sequence"] = number


def _drop_an_entry(data: st.DataObject, history: list[Entry]) -> None:
    history.remove(_entry(data, history))


def _double_an_entry(data: st.DataObject, history: list[Entry]) -> None:
    history.insert(data.draw(st.integers(0, len(history))), deepcopy(_entry(data, history)))


def _change_a_value(data: st.DataObject, history: list[Entry]) -> None:
    entry = _entry(data, history)
    if entry["kind"] == "stored" and data.draw(st.booleans()):
        entry = data.draw(st.sampled_from(entry["messages"]))
    key = data.draw(st.sampled_from(sorted(set(entry) - _FREE - {"kind", "messages"})))
    new = data.draw(st.integers() if isinstance(entry[key], int) else _TEXTS)
    assume(new != entry[key])
    entry[key] = new


def _cut_a_text(data: st.DataObject, history: list[Entry]) -> None:
    message = data.draw(st.sampled_from(_messages(data, history)))
    message["text"] = message["text"][: data.draw(st.integers(0, len(message["text"]) - 1))]


def _drop_a_message(data: st.DataObject, history: list[Entry]) -> None:
    messages = _messages(data, history)
    messages.remove(data.draw(st.sampled_from(messages)))
    _renumber(messages)


def _double_a_message(data: st.DataObject, history: list[Entry]) -> None:
    messages = _messages(data, history)
    messages.insert(data.draw(st.integers(0, len(messages))), dict(data.draw(st.sampled_from(messages))))
    _renumber(messages)


def _swap_messages(data: st.DataObject, history: list[Entry]) -> None:
    messages = _messages(data, history)
    one, other = (data.draw(st.integers(0, len(messages) - 1)) for _ in range(2))
    a, b = messages[one], messages[other]
    # A question may stand before or behind the answer to an earlier one.
    assume(one != other and (a["role"] == b["role"] or a["run"] == b["run"]))
    messages[one], messages[other] = b, a
    _renumber(messages)


def _move_a_message(data: st.DataObject, history: list[Entry]) -> None:
    source, target = _messages(data, history), _messages(data, history)
    assume(source is not target)
    message = data.draw(st.sampled_from(source))
    source.remove(message)
    target.insert(data.draw(st.integers(0, len(target))), message)
    _renumber(source)
    _renumber(target)


def _swap_what_was_sent(data: st.DataObject, history: list[Entry]) -> None:
    kind = data.draw(st.sampled_from(["sending", "accepted"]))
    one, other = (data.draw(st.sampled_from(_of(history, kind))) for _ in range(2))
    assume(one is not other and one["conversation"] == other["conversation"])
    for key in ("text", *(["run"] if kind == "accepted" else [])):
        one[key], other[key] = other[key], one[key]


def _spoil_a_run(data: st.DataObject, history: list[Entry]) -> None:
    run = data.draw(st.sampled_from(_of(history, "run")))
    spoiled: list[dict[str, object]] = [
        {"ended": 0.0},
        {"ended": run["created"] - 0.001},
        {"ended": 1e6},
        {"created": 0.0},
        {"created": run["ended"] + 0.001},
        {"attempt": 0},
    ]
    run.update(data.draw(st.sampled_from(spoiled)))


_MUTATIONS = [
    _drop_an_entry,
    _double_an_entry,
    _change_a_value,
    _cut_a_text,
    _drop_a_message,
    _double_a_message,
    _swap_messages,
    _move_a_message,
    _swap_what_was_sent,
    _spoil_a_run,
]


@given(st.data(), st.randoms(use_true_random=False), st.integers(1, 4), st.integers(1, 3))
def test_no_mutation_of_a_good_history_holds(data: st.DataObject, choose: random.Random, c: int, d: int) -> None:
    history = _history(f"c{c}", f"d{d}", choose=choose)
    assert check(history).findings == ()
    mutate = data.draw(st.sampled_from(_MUTATIONS))
    mutate(data, history)
    verdict = check(history)
    assert not verdict.holds, history
    assert verdict.findings
    assert sum(getattr(verdict, name) for name in WRONG) > 0
