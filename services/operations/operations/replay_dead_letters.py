"""Send dead letters back to their queues: one, or all that a filter chooses, a step at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis.identifiers import new_id
from services.operations.errors import DeadLetterNotFound, FilterInvalid, RequestIdReused
from services.operations.operations.record_actions import record
from services.operations.ports import Clock, Transaction, Transactions
from services.operations.rules import (
    Action,
    DeadLetter,
    LetterFilter,
    LetterState,
    Operation,
    OperationState,
    closed,
    ended,
    replay_of,
)

KIND = "replay_dead_letters"
KEPT = timedelta(days=30)
_DEFAULT_RATE = 10
_MOST_A_STEP = 100


@dataclass(frozen=True, slots=True)
class ReplayDeadLetters:
    """Replays. A letter is closed, its message sent and the action written down in one transaction."""

    transactions: Transactions
    clock: Clock

    async def one(self, letter_id: UUID, by: str) -> DeadLetter:
        """Send one open letter back to its queue, once. Raises DeadLetterNotFound, DeadLetterClosed."""
        async with self.transactions.begin() as tx:
            letter = await tx.letters.get(letter_id, lock=True)
            if letter is None:
                raise DeadLetterNotFound(dead_letter_id=letter_id)
            (replayed,) = await _send_back(tx, [letter], by, self.clock())
        self.transactions.jobs_committed()
        return replayed

    async def chosen(
        self, chosen: LetterFilter, rate: int, by: str, request_id: UUID | None, *, dry_run: bool
    ) -> Operation:
        """Begin to send all open chosen letters back, `rate` a second; only count them when `dry_run`.

        Raises:
            FilterInvalid: the filter names another state than open.
            RequestIdReused: the request id came before with something else.
        """
        if chosen.state not in (None, LetterState.OPEN):
            raise FilterInvalid(state=chosen.state)
        now, operation_id = self.clock(), new_id()
        request = _stored(replace(chosen, state=None), rate or _DEFAULT_RATE, dry_run=dry_run)
        async with self.transactions.begin() as tx:
            total = await tx.letters.count(replace(chosen, state=LetterState.OPEN))
            operation = Operation(operation_id, request, OperationState.RUNNING, total, 0, None, False, by, now, now)
            if dry_run or not total:
                operation = ended(operation, OperationState.SUCCEEDED, now, KEPT)
            if await tx.operations.add(operation, request_id):
                await record(tx, "replay_all", "operation", operation_id, by, now, {**request, "total": total})
                return operation
            assert request_id is not None  # noqa: S101 - nothing else can clash
            found = await tx.operations.by_request(request_id)
        if found is None or found.request != request:
            raise RequestIdReused(request_id=request_id)
        return found

    async def step(self, tx: Transaction, operation: Operation) -> tuple[Operation, float]:
        """Replay the next letters of an operation; return it and how many seconds to wait before the next step.

        Letters that are found after the operation has begun, and those that come back, are left alone.
        """
        rate = int(str(operation.request["rate"]))
        size = min(rate, _MOST_A_STEP)
        letters = await tx.letters.next_open(_filter(operation.request), operation.cursor, operation.operation_id, size)
        now = self.clock()
        await _send_back(tx, letters, operation.created_by, now)
        if not letters:
            return ended(operation, OperationState.SUCCEEDED, now, KEPT), 0.0
        done = operation.done + len(letters)
        cursor = letters[-1].letter_id
        return replace(operation, done=done, cursor=cursor, updated_at=now), len(letters) / rate


async def _send_back(tx: Transaction, letters: Sequence[DeadLetter], by: str, at: datetime) -> list[DeadLetter]:
    """Close open letters, send their messages and write it down: each a round trip, however many they are."""
    replayed = [closed(letter, LetterState.REPLAYED, by, at) for letter in letters]
    await tx.letters.save(*replayed)
    await tx.jobs.send(*map(replay_of, letters))
    actions = [
        Action(new_id(), "replay", "dead_letter", letter.letter_id, by, at, {"failures": letter.failures})
        for letter in letters
    ]
    await tx.actions.add(*actions)
    return replayed


def _stored(chosen: LetterFilter, rate: int, *, dry_run: bool) -> dict[str, object]:
    return {
        "kind": KIND,
        "rate": rate,
        "dry_run": dry_run,
        "queue": chosen.queue,
        "actor": chosen.actor,
        "text": chosen.text,
        "organization_id": chosen.organization_id,
        "failed_from": _time_text(chosen.failed_from),
        "failed_before": _time_text(chosen.failed_before),
    }


def _filter(request: Mapping[str, object]) -> LetterFilter:
    return LetterFilter(
        queue=str(request["queue"]),
        actor=str(request["actor"]),
        text=str(request["text"]),
        organization_id=str(request["organization_id"]),
        failed_from=_time(str(request["failed_from"])),
        failed_before=_time(str(request["failed_before"])),
    )


def _time_text(at: datetime | None) -> str:
    return "" if at is None else at.isoformat()


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
