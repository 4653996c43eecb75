"""What was done to a house and what it answered: one JSON object a line, and the checker that reads it afterwards."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class History:
    """Appends to a file of JSON lines; each entry is on the disk before the next thing happens."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self.path = path

    def write(self, kind: str, **fields: object) -> None:
        """Append an entry with the time."""
        self._file.write(json.dumps({"t": round(time.time(), 3), "kind": kind, **fields}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> list[Entry]:
    """Return the entries of a history."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a history shows. The first three must be 0."""

    accepted: int
    lost: int
    doubled: int
    out_of_order: int
    extra_model_calls: int
    """Calls of the model beyond one a message."""
    taken_up_again: int
    """How often a run was taken up by a further worker; not each got as far as to the model."""
    stale_fences_refused: int
    """How often a worker that had slept or was cut off found another one in its place."""
    faults: dict[str, int]
    wait_p50: float
    """Seconds from acceptance to the end of a run, and for the slowest of twenty."""
    wait_p95: float
    drained_seconds: float
    """From the last fault or message, whichever came later, to the end of the last run."""

    @property
    def holds(self) -> bool:
        """Whether every accepted message was answered once and in order."""
        return (self.lost, self.doubled, self.out_of_order) == (0, 0, 0) and self.accepted > 0


def check(entries: Iterable[Entry]) -> Verdict:
    """Judge a history: `accepted` messages against the `stored` ones and the `run`s that answered them."""
    of_kind: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        of_kind[entry["kind"]].append(entry)
    sent: dict[str, list[str]] = defaultdict(list)
    for entry in of_kind["accepted"]:
        sent[entry["conversation"]].append(entry["text"])
    stored = {entry["conversation"]: entry["messages"] for entry in of_kind["stored"]}
    lost = doubled = out_of_order = 0
    for conversation, texts in sent.items():
        said = [text for role, text in stored.get(conversation, []) if role == "user"]
        answers = [text for role, text in stored.get(conversation, []) if role == "assistant"]
        for found, wanted in ((said, texts), (answers, [f"You said: {text}" for text in texts])):
            count = Counter(found)
            lost += sum(1 for text in wanted if count[text] == 0)
            doubled += sum(count.values()) - len(count)
            kept = [text for text in dict.fromkeys(found) if text in set(wanted)]
            out_of_order += sum(
                1 for one, other in zip(kept, [w for w in wanted if count[w]], strict=True) if one != other
            )
    waits = sorted(entry["ended"] - entry["created"] for entry in of_kind["run"]) or [0.0]
    last_cause = max(entry["t"] for kind in ("accepted", "fault") for entry in of_kind[kind] or [{"t": 0.0}])
    last_end = max((entry["ended"] for entry in of_kind["run"]), default=0.0)
    return Verdict(
        accepted=len(of_kind["accepted"]),
        lost=lost,
        doubled=doubled,
        out_of_order=out_of_order,
        extra_model_calls=max(sum(entry["count"] for entry in of_kind["asked"]) - len(of_kind["accepted"]), 0),
        taken_up_again=sum(max(entry["attempt"] - 1, 0) for entry in of_kind["run"]),
        stale_fences_refused=sum(entry["count"] for entry in of_kind["refused"]),
        faults=dict(Counter(entry["fault"] for entry in of_kind["fault"])),
        wait_p50=round(waits[len(waits) // 2], 2),
        wait_p95=round(waits[len(waits) * 95 // 100], 2),
        drained_seconds=round(max(last_end - last_cause, 0.0), 2),
    )
