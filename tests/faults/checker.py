"""Judges a whole history: whatever in it is not as it must be is found.

A history has, in the order in which they happened, `opened` for each conversation, a `sending` before each message and
an `accepted` after it, an `error` for each call that was answered as none may be, and a `fault` for each that bit; at
the end what the house then said: one `stored` for each conversation that it has, one `run` for each accepted run.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.faults.history import Entry

Finding = tuple[str, str]
"""A field of the verdict, and what was found."""
WRONG = ("lost", "doubled", "out_of_order", "foreign", "unended", "errors")
# Times of one machine, written by different processes and cut to milliseconds.
_SKEW_SECONDS = 1.0
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a history shows. The first six counts must be 0."""

    accepted: int
    lost: int
    """Messages without an answer, and messages or runs that are not there."""
    doubled: int
    out_of_order: int
    """Also an answer before its question."""
    foreign: int
    """What nobody sent, and an answer that is not the answer to its question, or only a part of it."""
    unended: int
    """Runs that did not succeed."""
    errors: int
    """Calls that were answered INTERNAL or UNKNOWN."""
    findings: tuple[str, ...]
    """The first of them."""
    extra_model_calls: int
    """Calls of the model beyond one a message."""
    taken_up_again: int
    """How often a run was taken up by a further worker; not each got as far as to the model."""
    stale_fences_refused: int
    """How often a worker that had slept or was cut off found another one in its place."""
    doubled_nudges: int
    faults: dict[str, int]
    wait_p50: float
    """Seconds from acceptance to the end of a run, and for the slowest of twenty."""
    wait_p95: float
    drained_seconds: float
    """From the last fault or message, whichever came later, to the end of the last run."""

    @property
    def holds(self) -> bool:
        """Whether every accepted message was answered once and in order, and nothing else was."""
        return self.accepted > 0 and all(getattr(self, name) == 0 for name in WRONG)


def check(entries: Iterable[Entry]) -> Verdict:
    """Judge a history."""
    of_kind: dict[str, list[Entry]] = defaultdict(list)
    entries = list(entries)
    for entry in entries:
        of_kind[entry["kind"]].append(entry)
    found = [*_sending(entries), *_conversations(of_kind), *_runs(of_kind)]
    found += [("errors", f"{entry['method']} was answered {entry['code']}") for entry in of_kind["error"]]
    wrong = Counter(name for name, _ in found)
    waits = sorted(entry["ended"] - entry["created"] for entry in of_kind["run"]) or [0.0]
    last_cause = max((entry["t"] for kind in ("accepted", "fault") for entry in of_kind[kind]), default=0.0)
    last_end = max((entry["ended"] for entry in of_kind["run"]), default=0.0)
    return Verdict(
        accepted=len(of_kind["accepted"]),
        **{name: wrong[name] for name in WRONG},
        findings=tuple(f"{name}: {what}" for name, what in found[:_SHOWN]),
        extra_model_calls=max(_count(of_kind["asked"]) - len(of_kind["accepted"]), 0),
        taken_up_again=sum(max(entry["attempt"] - 1, 0) for entry in of_kind["run"]),
        stale_fences_refused=_count(of_kind["refused"]),
        doubled_nudges=_count(of_kind["doubled"]),
        faults=dict(Counter(entry["fault"] for entry in of_kind["fault"])),
        wait_p50=round(waits[len(waits) // 2], 2),
        wait_p95=round(waits[len(waits) * 95 // 100], 2),
        drained_seconds=round(max(last_end - last_cause, 0.0), 2),
    )


def _count(entries: list[Entry]) -> int:
    return sum(entry["count"] for entry in entries)


def _sending(entries: list[Entry]) -> Iterator[Finding]:
    """Hold what was accepted against what was sent: each message is sent once, and accepted once after that."""
    open_, seen, opened = set[tuple[str, str]](), set[tuple[str, str]](), set[str]()
    for entry in entries:
        if entry["kind"] == "opened":
            if entry["conversation"] in opened:
                yield "doubled", f"the conversation {entry['conversation']} was opened"
            opened.add(entry["conversation"])
        if entry["kind"] not in ("sending", "accepted"):
            continue
        if entry["conversation"] not in opened:
            yield "foreign", f"{entry['text']} is in a conversation that was not opened before"
        message = entry["conversation"], entry["text"]
        if entry["kind"] == "accepted":
            if message not in open_:
                yield "foreign", f"{message} was accepted, and not sent before"
            open_.discard(message)
            continue
        if message in seen:
            yield "doubled", f"{message} was sent"
        seen.add(message)
        open_.add(message)
    for message in open_:
        yield "lost", f"{message} was sent and never accepted"


def _conversations(of_kind: dict[str, list[Entry]]) -> Iterator[Finding]:
    opened = {entry["conversation"] for entry in of_kind["opened"]}
    accepted, stored = defaultdict[str, list[Entry]](list), defaultdict[str, list[Entry]](list)
    for kind, grouped in (("accepted", accepted), ("stored", stored)):
        for entry in of_kind[kind]:
            grouped[entry["conversation"]].append(entry)
    for conversation in opened | set(stored):
        whole = stored[conversation]
        if conversation not in opened:
            yield "foreign", f"the conversation {conversation} is nobody's"
        if not whole:
            yield "lost", f"the conversation {conversation} with {len(accepted[conversation])} messages"
        if len(whole) > 1:
            yield "doubled", f"the conversation {conversation}"
        for one in whole[:1]:
            for name, what in _messages(accepted[conversation], one["messages"]):
                yield name, f"{conversation}: {what}"


def _messages(accepted: list[Entry], messages: list[Entry]) -> Iterator[Finding]:
    """Hold the messages of a conversation against what was accepted, in that order."""
    wanted = {entry["run"]: entry["text"] for entry in accepted}
    if [message["sequence"] for message in messages] != list(range(1, len(messages) + 1)):
        yield "out_of_order", "the messages are not numbered from 1 on without gaps"
    places: dict[str, dict[str, int]] = {"user": {}, "assistant": {}}
    for place, message in enumerate(messages):
        role, run = message["role"], message["run"]
        if role not in places:
            yield "foreign", f"a message of {role!r}"
            continue
        if run in places[role]:
            yield "doubled", f"a message of {role} in the run {run}"
        places[role].setdefault(run, place)
        if run not in wanted:
            yield "foreign", f"{message['text']!r} belongs to no accepted run"
        elif message["text"] != (wanted[run] if role == "user" else f"You said: {wanted[run]}"):
            yield "foreign", f"{message['text']!r} stands for {wanted[run]!r}"
    for role, at in places.items():
        yield from (("lost", f"{role} said nothing in the run {run}") for run in wanted if run not in at)
        kept, right = [run for run in at if run in wanted], [run for run in wanted if run in at]
        yield from (
            ("out_of_order", f"{one} of {role}") for one, other in zip(kept, right, strict=True) if one != other
        )
    for run, place in places["assistant"].items():
        if place < places["user"].get(run, -1):
            yield "out_of_order", f"the answer of the run {run} stands before its question"


def _runs(of_kind: dict[str, list[Entry]]) -> Iterator[Finding]:
    accepted = {entry["run"]: entry for entry in of_kind["accepted"]}
    if len(accepted) < len(of_kind["accepted"]):
        yield "doubled", "one run was accepted for two messages"
    runs = Counter(entry["run"] for entry in of_kind["run"])
    yield from (("lost", f"the run {run}") for run in accepted if run not in runs)
    yield from (("doubled", f"the run {run}") for run, count in runs.items() if count > 1)
    yield from (("foreign", f"the run {run}") for run in runs if run not in accepted)
    last: dict[str, float] = defaultdict(float)
    place = {run: number for number, run in enumerate(accepted)}
    for entry in sorted(of_kind["run"], key=lambda one: place.get(one["run"], 0)):
        run, conversation = entry["run"], entry["conversation"]
        if run in accepted and conversation != accepted[run]["conversation"]:
            yield "foreign", f"the run {run} belongs to {conversation}"
        if (entry["state"], entry["reason"]) != ("succeeded", "") or entry["attempt"] < 1:
            yield "unended", f"the run {run} is {entry['state']} {entry['reason']}, attempt {entry['attempt']}"
        if not 0 < entry["created"] <= entry["ended"] <= entry["t"] + _SKEW_SECONDS:
            yield "unended", f"the run {run} was created at {entry['created']} and ended at {entry['ended']}"
        if entry["ended"] < last[conversation]:
            yield "out_of_order", f"the run {run} ended before the one before it"
        last[conversation] = max(last[conversation], entry["ended"])
