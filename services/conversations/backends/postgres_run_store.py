"""Runs and leases in PostgreSQL.

The lease with its fence is the one of Kleppmann, "How to do distributed locking" (2016): the fence rises with every
lease, and each write of a worker names its fence, so that one that slept through its lease writes nothing.
"""

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, case, func, insert, literal, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.outbox import Outbox
from services.conversations.backends.tables import CONVERSATION, MESSAGE, RUN, context_of, message_of, run_of
from services.conversations.ports import Claim, LeaseLost, NewMessage, RequestIdSeen
from services.conversations.rules import Message, Outcome, Run, RunState

TOPIC = "incoming"
_OPEN = (RunState.QUEUED.value, RunState.RUNNING.value)
_LEASE = text("interval '8 seconds'")
# Longer than a nudge takes to reach an idle worker; a conversation that waits its turn is nudged again this often.
_NUDGE_PATIENCE = text("interval '10 seconds'")


@dataclass(frozen=True, slots=True)
class PostgresRunStore:
    """Implements the port RunStore on one connection."""

    connection: AsyncConnection
    outbox: Outbox

    async def accept(self, new: NewMessage) -> tuple[Message, Run] | None:
        """See the port."""
        # The update locks the row: messages of one conversation are numbered one after the other.
        sequence = await self.connection.scalar(
            update(CONVERSATION)
            .where(CONVERSATION.c.id == new.conversation_id, CONVERSATION.c.owner_id == new.owner_id)
            .values(
                last_sequence=CONVERSATION.c.last_sequence + 1,
                title=case((CONVERSATION.c.title == "", new.title), else_=CONVERSATION.c.title),
                updated_at=new.at,
                nudged_at=func.now(),
            )
            .returning(CONVERSATION.c.last_sequence)
        )
        if sequence is None:
            return None
        message = Message(new.message_id, new.conversation_id, sequence, "user", new.text, new.run_id, None, new.at)
        run = Run(new.run_id, new.conversation_id, sequence, new.message_id, RunState.QUEUED, created_at=new.at)
        try:
            await self._insert_message(message, new.request_id)
        except IntegrityError as error:
            raise RequestIdSeen from error
        await self.connection.execute(
            insert(RUN).values(
                id=run.run_id,
                conversation_id=run.conversation_id,
                ordinal=run.ordinal,
                message_id=run.message_id,
                state=run.state.value,
                created_at=run.created_at,
            )
        )
        await self._nudge(new.conversation_id)
        return message, run

    async def accepted(self, conversation_id: UUID, request_id: UUID) -> tuple[Message, Run] | None:
        """See the port."""
        found = await self.connection.execute(
            select(MESSAGE).where(MESSAGE.c.conversation_id == conversation_id, MESSAGE.c.request_id == request_id)
        )
        if (row := found.one_or_none()) is None:
            return None
        run = (await self.connection.execute(select(RUN).where(RUN.c.id == row.run_id))).one()
        return message_of(row), run_of(run)

    async def get(self, conversation_id: UUID, run_id: UUID, owner_id: str) -> Run | None:
        """See the port."""
        statement = (
            select(RUN)
            .join(CONVERSATION, CONVERSATION.c.id == RUN.c.conversation_id)
            .where(RUN.c.id == run_id, CONVERSATION.c.id == conversation_id, CONVERSATION.c.owner_id == owner_id)
        )
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else run_of(row)

    async def open_runs(self, conversation_id: UUID) -> list[UUID]:
        """See the port."""
        statement = select(RUN.c.id).where(RUN.c.conversation_id == conversation_id, RUN.c.state.in_(_OPEN))
        return list(await self.connection.scalars(statement))

    async def request_cancel(self, run_id: UUID) -> None:
        """See the port."""
        queued = RUN.c.state == RunState.QUEUED.value
        await self.connection.execute(
            update(RUN)
            .where(RUN.c.id == run_id, RUN.c.state.in_(_OPEN))
            .values(
                cancel_requested=True,
                state=case((queued, RunState.CANCELLED.value), else_=RUN.c.state),
                ended_at=case((queued, func.now()), else_=None),
            )
        )

    async def claim(self, conversation_id: UUID, history_size: int) -> Claim | None:
        """See the port."""
        free = or_(CONVERSATION.c.lease_until.is_(None), CONVERSATION.c.lease_until < func.now())
        waits = select(literal(1)).where(RUN.c.conversation_id == conversation_id, RUN.c.state.in_(_OPEN)).exists()
        leased = await self.connection.execute(
            update(CONVERSATION)
            .where(CONVERSATION.c.id == conversation_id, free, waits)
            .values(fence=CONVERSATION.c.fence + 1, lease_until=func.now() + _LEASE)
            .returning(CONVERSATION.c.fence, CONVERSATION.c.context)
        )
        row = leased.one_or_none()
        return None if row is None else await self._take_up(conversation_id, row, history_size)

    async def finish(
        self, claim: Claim, outcome: Outcome, message_id: UUID, history_size: int
    ) -> tuple[Run, Message | None, Claim | None]:
        """See the port."""
        conversation_id = claim.run.conversation_id
        says = 1 if outcome.text else 0
        # The row is locked from here on: a message that is accepted now waits, and its nudge finds the lease free.
        held = await self.connection.execute(
            update(CONVERSATION)
            .where(self._holds(conversation_id, claim.fence))
            .values(
                last_sequence=CONVERSATION.c.last_sequence + says,
                updated_at=func.now(),
                lease_until=func.now() + _LEASE,
            )
            .returning(CONVERSATION.c.last_sequence, CONVERSATION.c.fence, CONVERSATION.c.context, func.now())
        )
        row = held.one_or_none()
        if row is None:
            raise LeaseLost
        message = None
        if says:
            message = Message(
                message_id,
                conversation_id,
                row.last_sequence,
                "assistant",
                outcome.text,
                claim.run.run_id,
                outcome.metadata,
                row.now,
            )
            await self._insert_message(message, None)
        ended = await self.connection.execute(
            update(RUN)
            .where(RUN.c.id == claim.run.run_id, RUN.c.state.in_(_OPEN))
            .values(
                state=outcome.state.value,
                output_message_id=message_id if says else None,
                error_reason=outcome.error_reason,
                error_message=outcome.error_message,
                ended_at=func.now(),
            )
            .returning(RUN)
        )
        return run_of(ended.one()), message, await self._take_up(conversation_id, row, history_size)

    async def renew(self, conversation_id: UUID, fence: int) -> bool:
        """See the port."""
        statement = (
            update(CONVERSATION).where(self._holds(conversation_id, fence)).values(lease_until=func.now() + _LEASE)
        )
        return (await self.connection.execute(statement)).rowcount == 1

    async def release(self, conversation_id: UUID, fence: int) -> None:
        """See the port."""
        await self.connection.execute(
            update(CONVERSATION).where(self._holds(conversation_id, fence)).values(lease_until=None)
        )

    async def nudge_stranded(self, limit: int) -> int:
        """See the port."""
        stranded = (
            select(CONVERSATION.c.id)
            .where(
                CONVERSATION.c.id.in_(select(RUN.c.conversation_id).where(RUN.c.state.in_(_OPEN))),
                or_(CONVERSATION.c.lease_until.is_(None), CONVERSATION.c.lease_until < func.now()),
                CONVERSATION.c.nudged_at < func.now() - _NUDGE_PATIENCE,
            )
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        nudged = await self.connection.scalars(
            update(CONVERSATION)
            .where(CONVERSATION.c.id.in_(stranded))
            .values(nudged_at=func.now())
            .returning(CONVERSATION.c.id)
        )
        conversation_ids = list(nudged)
        for conversation_id in conversation_ids:
            await self._nudge(conversation_id)
        return len(conversation_ids)

    async def _take_up(self, conversation_id: UUID, leased: Row[Any], history_size: int) -> Claim | None:
        """Return the next waiting run as claimed under the lease in `leased`, or give the lease back."""
        following = (
            select(RUN.c.id)
            .where(RUN.c.conversation_id == conversation_id, RUN.c.state.in_(_OPEN))
            .order_by(RUN.c.ordinal)
            .limit(1)
            .scalar_subquery()
        )
        taken = await self.connection.execute(
            update(RUN)
            .where(RUN.c.id == following)
            .values(
                state=RunState.RUNNING.value,
                attempt=RUN.c.attempt + 1,
                started_at=func.coalesce(RUN.c.started_at, func.now()),
            )
            .returning(RUN)
        )
        row = taken.one_or_none()
        if row is None:
            await self.release(conversation_id, leased.fence)
            return None
        run = run_of(row)
        history = await self._history(run, history_size)
        return Claim(run, leased.fence, context_of(leased.context), tuple(history))

    async def _history(self, run: Run, size: int) -> list[Message]:
        # Questions may have come in a burst: each is put before its own answer, and later ones are not there yet.
        statement = (
            select(MESSAGE)
            .join(RUN, RUN.c.id == MESSAGE.c.run_id)
            .where(MESSAGE.c.conversation_id == run.conversation_id, RUN.c.ordinal <= run.ordinal)
            .order_by(RUN.c.ordinal.desc(), MESSAGE.c.sequence.desc())
            .limit(size)
        )
        return [message_of(row) for row in await self.connection.execute(statement)][::-1]

    async def _insert_message(self, message: Message, request_id: UUID | None) -> None:
        await self.connection.execute(
            insert(MESSAGE).values(
                id=message.message_id,
                conversation_id=message.conversation_id,
                sequence=message.sequence,
                role=message.role,
                text=message.text,
                run_id=message.run_id,
                metadata=None if message.metadata is None else asdict(message.metadata),
                request_id=request_id,
                created_at=message.created_at,
            )
        )

    async def _nudge(self, conversation_id: UUID) -> None:
        key = str(conversation_id)
        await self.outbox.add(self.connection, TOPIC, key, {"conversation_id": key})

    @staticmethod
    def _holds(conversation_id: UUID, fence: int) -> ColumnElement[bool]:
        return (CONVERSATION.c.id == conversation_id) & (CONVERSATION.c.fence == fence)
