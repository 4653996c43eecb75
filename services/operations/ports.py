"""What the operations need from outside."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from services.operations.rules import (
    Action,
    DeadLetter,
    FailedMessage,
    Fire,
    Job,
    LetterFilter,
    Operation,
    Schedule,
)

Clock = Callable[[], datetime]
"""Says what time it is, in UTC."""


class DeadLetterSource(Protocol):
    """Where the broker keeps the messages that it gave up."""

    def taken(self, limit: int) -> AbstractAsyncContextManager[Sequence[FailedMessage]]:
        """Yield some messages. They leave the broker when the block ends, and stay when it raises.

        Several may take at once; the same message may then be yielded to more than one.
        """

    async def close(self) -> None:
        """Close the connections."""


class LetterStore(Protocol):
    """Dead letters, inside one transaction."""

    async def add_failure(self, message: FailedMessage) -> bool:
        """Remember that a message failed; False when this failure is known already."""

    async def of_message(self, queue: str, message_id: str) -> DeadLetter | None:
        """Return the letter of a message, and keep others from changing it until the transaction ends."""

    async def add(self, letter: DeadLetter) -> bool:
        """Store a new letter; False, having stored nothing, when its message has one."""

    async def get(self, letter_id: UUID, *, lock: bool = False) -> DeadLetter | None:
        """Return one letter; `lock` keeps others from changing it until the transaction ends."""

    async def page(self, chosen: LetterFilter, before: UUID | None, size: int) -> list[DeadLetter]:
        """Return the chosen letters that were found before one, the last found first."""

    async def count(self, chosen: LetterFilter) -> int:
        """Return how many are chosen."""

    async def next_open(self, chosen: LetterFilter, after: UUID | None, until: UUID, size: int) -> list[DeadLetter]:
        """Return open chosen letters found after one and up to another, the oldest first, locked."""

    async def save(self, *letters: DeadLetter) -> None:
        """Store changed letters."""


class ScheduleStore(Protocol):
    """Schedules and their fires, inside one transaction."""

    async def add(self, schedule: Schedule, request_id: UUID | None) -> bool:
        """Store a new schedule; False, having stored nothing, when the request id was used before."""

    async def by_request(self, request_id: UUID) -> Schedule | None:
        """Return the schedule that was made with a request id."""

    async def get(self, schedule_id: UUID, *, lock: bool = False) -> Schedule | None:
        """Return one schedule; `lock` keeps others from changing it until the transaction ends."""

    async def page(self, before: UUID | None, size: int) -> list[Schedule]:
        """Return schedules made before one, the last made first."""

    async def save(self, schedule: Schedule) -> None:
        """Store a changed schedule."""

    async def delete(self, schedule_id: UUID) -> None:
        """Delete a schedule with its fires."""

    async def due(self, now: datetime, size: int) -> list[Schedule]:
        """Return schedules whose time has come, locked; those that others have locked are left out."""

    async def add_fire(self, fire: Fire, request_id: UUID | None = None) -> bool:
        """Store a fire; False, having stored nothing, when the schedule has fired for this time."""

    async def fire_by_request(self, request_id: UUID) -> Fire | None:
        """Return the fire that was asked for with a request id."""

    async def fires(self, schedule_id: UUID, before: UUID | None, size: int) -> list[Fire]:
        """Return the fires of a schedule before one, the last first."""

    async def forget_fires(self, before: datetime) -> None:
        """Delete fires that are older."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to go on with an operation until `until`; `fence` rises with every lease."""

    operation: Operation
    fence: int


class OperationStore(Protocol):
    """Operations and the leases on them, inside one transaction."""

    async def add(self, operation: Operation, request_id: UUID | None) -> bool:
        """Store a new operation; False, having stored nothing, when the request id was used before."""

    async def by_request(self, request_id: UUID) -> Operation | None:
        """Return the operation that was begun with a request id."""

    async def get(self, operation_id: UUID, *, lock: bool = False) -> Operation | None:
        """Return one operation; `lock` keeps others from changing it until the transaction ends."""

    async def page(self, before: UUID | None, size: int) -> list[Operation]:
        """Return operations begun before one, the last begun first."""

    async def save(self, operation: Operation) -> None:
        """Store a changed operation."""

    async def delete(self, operation_id: UUID) -> None:
        """Forget an operation."""

    async def forget_expired(self, now: datetime) -> None:
        """Forget the operations whose time is over."""

    async def lease(self, lasting: timedelta) -> Lease | None:
        """Take a running operation that nobody works on; None when there is none."""

    async def hold(self, lease: Lease, lasting: timedelta) -> Operation | None:
        """Lengthen a lease and return the operation as it is, locked; None when another has it now."""


class ActionLog(Protocol):
    """Who did what, inside one transaction. Nothing in it is ever changed."""

    async def add(self, *actions: Action) -> None:
        """Write actions down."""

    async def page(self, subject_id: UUID | None, before: UUID | None, size: int) -> list[Action]:
        """Return actions before one, the last first."""


class Jobs(Protocol):
    """Sends jobs to their queues, if and only if the transaction commits."""

    async def send(self, *jobs: Job) -> None:
        """Send jobs; a queue gets each once, twice when a relay dies at the wrong moment, with the same message id."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction gives access to."""

    letters: LetterStore
    schedules: ScheduleStore
    operations: OperationStore
    actions: ActionLog
    jobs: Jobs


class Transactions(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction; it commits when the block ends and rolls back when it raises."""

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a view for reading: each read sees what is committed by then."""

    def jobs_committed(self) -> None:
        """Say that jobs have been committed, so that the relay of this process looks at once."""
