"""Dead letters in PostgreSQL."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.operations.backends.tables import DEAD_LETTER, FAILURE, letter_of, stored_letter
from services.operations.rules import DeadLetter, FailedMessage, LetterFilter, LetterState

_COLUMNS = DEAD_LETTER.c


@dataclass(frozen=True, slots=True)
class PostgresLetterStore:
    """Implements the port LetterStore on one connection."""

    connection: AsyncConnection

    async def add_failure(self, message: FailedMessage) -> bool:
        """See the port."""
        statement = (
            postgres_insert(FAILURE)
            .values(
                queue=message.queue,
                message_id=message.message_id,
                failure_key=message.failure_key,
                failed_at=message.failed_at,
            )
            .on_conflict_do_nothing()
        )
        return (await self.connection.execute(statement)).rowcount == 1

    async def of_message(self, queue: str, message_id: str) -> DeadLetter | None:
        """See the port."""
        statement = select(DEAD_LETTER).where(_COLUMNS.queue == queue, _COLUMNS.message_id == message_id)
        row = (await self.connection.execute(statement.with_for_update())).one_or_none()
        return None if row is None else letter_of(row)

    async def add(self, letter: DeadLetter) -> bool:
        """See the port."""
        statement = (
            postgres_insert(DEAD_LETTER)
            .values(id=letter.letter_id, **stored_letter(letter))
            .on_conflict_do_nothing(index_elements=["queue", "message_id"])
        )
        return (await self.connection.execute(statement)).rowcount == 1

    async def get(self, letter_id: UUID, *, lock: bool = False) -> DeadLetter | None:
        """See the port."""
        statement = select(DEAD_LETTER).where(_COLUMNS.id == letter_id)
        row = (await self.connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
        return None if row is None else letter_of(row)

    async def page(self, chosen: LetterFilter, before: UUID | None, size: int) -> list[DeadLetter]:
        """See the port."""
        statement = _chosen(select(DEAD_LETTER), chosen)
        if before is not None:
            statement = statement.where(_COLUMNS.id < before)
        rows = await self.connection.execute(statement.order_by(_COLUMNS.id.desc()).limit(size))
        return [letter_of(row) for row in rows]

    async def count(self, chosen: LetterFilter) -> int:
        """See the port."""
        return int(await self.connection.scalar(_chosen(select(func.count()).select_from(DEAD_LETTER), chosen)) or 0)

    async def next_open(self, chosen: LetterFilter, after: UUID | None, until: UUID, size: int) -> list[DeadLetter]:
        """See the port."""
        statement = _chosen(select(DEAD_LETTER), chosen).where(_COLUMNS.state == LetterState.OPEN, _COLUMNS.id <= until)
        if after is not None:
            statement = statement.where(_COLUMNS.id > after)
        rows = await self.connection.execute(statement.order_by(_COLUMNS.id).limit(size).with_for_update())
        return [letter_of(row) for row in rows]

    async def save(self, *letters: DeadLetter) -> None:
        """See the port."""
        if letters:
            statement = update(DEAD_LETTER).where(_COLUMNS.id == bindparam("letter_id"))
            await self.connection.execute(
                statement, [{"letter_id": letter.letter_id, **stored_letter(letter)} for letter in letters]
            )


def _chosen(statement: Select[Any], chosen: LetterFilter) -> Select[Any]:
    for column, value in (
        (_COLUMNS.queue, chosen.queue),
        (_COLUMNS.actor, chosen.actor),
        (_COLUMNS.state, chosen.state),
        (_COLUMNS.organization_id, chosen.organization_id),
    ):
        if value:
            statement = statement.where(column == value)
    if chosen.failed_from is not None:
        statement = statement.where(_COLUMNS.failed_at >= chosen.failed_from)
    if chosen.failed_before is not None:
        statement = statement.where(_COLUMNS.failed_at < chosen.failed_before)
    if chosen.text:
        statement = statement.where(
            or_(
                _COLUMNS.error.icontains(chosen.text, autoescape=True),
                _COLUMNS.payload.icontains(chosen.text, autoescape=True),
            )
        )
    return statement
