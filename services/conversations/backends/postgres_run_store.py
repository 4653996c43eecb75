"""Runs and leases in PostgreSQL.

The lease with its fence is the one of Kleppmann, "How to do distributed locking" (2016): the fence rises with every
lease, and each write of a worker names its fence, so that one that slept through its lease writes nothing.
"""

import re
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Integer, Row, Text, TextClause, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from services.chassis.outbox import Outbox
from services.conversations.backends.seals import Seals
from services.conversations.backends.tables import (
    CONVERSATION,
    MESSAGE,
    RUN,
    about_message,
    context_of,
    message_of,
    run_of,
)
from services.conversations.ports import Claim, LeaseLost, NewMessage, RequestIdSeen
from services.conversations.rules import Message, Outcome, Run, RunState

TOPIC = "incoming"
_OPEN = (RunState.QUEUED.value, RunState.RUNNING.value)


_TYPES: dict[str, TypeEngine[Any]] = {
    "at": DateTime(timezone=True),
    "fence": BigInteger(),
    "limit": Integer(),
    "metadata": JSONB(none_as_null=True),
    "says": Integer(),
    **dict.fromkeys(("conversation_id", "message_id", "output_id", "request_id", "run_id"), Uuid()),
    **dict.fromkeys(("message", "owner_id", "reason", "state", "text", "title"), Text()),
}


# The statements of the hot road are written out: each is one round trip, and is compiled once.
def _sql(statement: str) -> TextClause:
    names = set(re.findall(r"(?<!:):(\w+)", statement))
    return text(statement).bindparams(*[bindparam(name, type_=_TYPES[name]) for name in names])


# The update locks the conversation: its messages are numbered one after the other.
_ACCEPT = _sql("""
    WITH numbered AS (
        UPDATE conversations.conversation
        SET last_sequence = last_sequence + 1, updated_at = :at, nudged_at = now(),
            title = CASE title WHEN '' THEN :title ELSE title END
        WHERE id = :conversation_id AND owner_id = :owner_id
        RETURNING last_sequence
    ), said AS (
        INSERT INTO conversations.message (id, conversation_id, sequence, role, text, run_id, request_id, created_at)
        SELECT :message_id, :conversation_id, last_sequence, 'user', :text, :run_id, :request_id, :at FROM numbered
    ), queued AS (
        INSERT INTO conversations.run (id, conversation_id, ordinal, message_id, state, created_at)
        SELECT :run_id, :conversation_id, last_sequence, :message_id, 'queued', :at FROM numbered
    )
    SELECT last_sequence FROM numbered
""")

# The inner select may see what another worker has just ended; the state in the outer condition is looked at again
# under the row's lock. A lease without a run is given back by the caller.
_CLAIM = _sql("""
    WITH leased AS (
        UPDATE conversations.conversation AS c
        SET fence = fence + 1, lease_until = now() + interval '8 seconds'
        WHERE id = :conversation_id AND (lease_until IS NULL OR lease_until < now()) AND EXISTS (
            SELECT 1 FROM conversations.run WHERE conversation_id = c.id AND state IN ('queued', 'running')
        )
        RETURNING id, fence, context
    ), taken AS (
        UPDATE conversations.run
        SET state = 'running', attempt = attempt + 1, started_at = coalesce(started_at, now())
        WHERE state IN ('queued', 'running') AND id = (
            SELECT run.id FROM conversations.run, leased
            WHERE conversation_id = leased.id AND state IN ('queued', 'running') ORDER BY ordinal LIMIT 1
        )
        RETURNING run.*
    )
    SELECT leased.fence, leased.context, taken.* FROM leased LEFT JOIN taken ON true
""")

# The conversation's row is locked from here on: a message that is accepted now waits, and its nudge finds the lease
# free, or this worker finds its run.
_FINISH = _sql("""
    WITH held AS (
        UPDATE conversations.conversation
        SET last_sequence = last_sequence + :says, updated_at = now(), lease_until = now() + interval '8 seconds'
        WHERE id = :conversation_id AND fence = :fence
        RETURNING last_sequence, context
    ), said AS (
        INSERT INTO conversations.message (id, conversation_id, sequence, role, text, run_id, metadata, created_at)
        SELECT :message_id, :conversation_id, last_sequence, 'assistant', :text, :run_id, :metadata, now()
        FROM held WHERE :says = 1
    ), ended AS (
        UPDATE conversations.run
        SET state = :state, output_message_id = :output_id, error_reason = :reason, error_message = :message,
            ended_at = now()
        FROM held WHERE id = :run_id AND state IN ('queued', 'running')
        RETURNING run.*
    )
    SELECT ended.*, held.last_sequence, held.context FROM held JOIN ended ON true
""")

_TAKE_UP_OR_RELEASE = _sql("""
    WITH taken AS (
        UPDATE conversations.run
        SET state = 'running', attempt = attempt + 1, started_at = coalesce(started_at, now())
        WHERE id = (
            SELECT id FROM conversations.run
            WHERE conversation_id = :conversation_id AND state IN ('queued', 'running') ORDER BY ordinal LIMIT 1
        )
        RETURNING run.*
    ), released AS (
        UPDATE conversations.conversation SET lease_until = NULL
        WHERE id = :conversation_id AND fence = :fence AND NOT EXISTS (SELECT 1 FROM taken)
    )
    SELECT * FROM taken
""")

_RENEW = _sql("""
    UPDATE conversations.conversation SET lease_until = now() + interval '8 seconds'
    WHERE id = :conversation_id AND fence = :fence
""")

# Nudged long ago on purpose: the next look for stranded conversations finds it.
_RELEASE = _sql("""
    UPDATE conversations.conversation SET lease_until = NULL, nudged_at = 'epoch'
    WHERE id = :conversation_id AND fence = :fence
""")

# A lease that ran out says that a worker died: one nudge at once. Otherwise ten seconds are longer than a nudge takes
# to reach an idle worker, and one that waits its turn is nudged again this often.
_NUDGE_STRANDED = _sql("""
    UPDATE conversations.conversation SET nudged_at = now()
    WHERE id IN (
        SELECT id FROM conversations.conversation
        WHERE id IN (SELECT conversation_id FROM conversations.run WHERE state IN ('queued', 'running'))
            AND (lease_until IS NULL OR lease_until < now())
            AND (nudged_at < lease_until OR nudged_at < now() - interval '10 seconds')
        LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING id
""")

_REQUEST_CANCEL = _sql("""
    UPDATE conversations.run
    SET cancel_requested = true,
        state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
        ended_at = CASE state WHEN 'queued' THEN now() END
    WHERE id = :run_id AND state IN ('queued', 'running')
""")

# Questions may have come in a burst: each is put before its own answer, and later ones are not there yet.
_HISTORY = (
    select(MESSAGE)
    .join(RUN, RUN.c.id == MESSAGE.c.run_id)
    .where(MESSAGE.c.conversation_id == bindparam("conversation_id"), RUN.c.ordinal <= bindparam("ordinal"))
    .order_by(RUN.c.ordinal.desc(), MESSAGE.c.sequence.desc())
    .limit(bindparam("size"))
)


@dataclass(frozen=True, slots=True)
class PostgresRunStore:
    """Implements the port RunStore on one connection."""

    connection: AsyncConnection
    outbox: Outbox
    seals: Seals

    async def accept(self, new: NewMessage) -> tuple[Message, Run] | None:
        """See the port."""
        seal = await self.seals.of_conversation(self.connection, new.conversation_id)
        stored = new
        if seal is not None:
            # A title made of the message would tell what it says.
            stored = replace(new, text=seal.seal(new.text, about_message(new.message_id)), title="")
        try:
            sequence = await self.connection.scalar(_ACCEPT, asdict(stored))
        except IntegrityError as error:
            raise RequestIdSeen from error
        if sequence is None:
            return None
        await self._nudge(new.conversation_id)
        message = Message(new.message_id, new.conversation_id, sequence, "user", new.text, new.run_id, None, new.at)
        run = Run(new.run_id, new.conversation_id, sequence, new.message_id, RunState.QUEUED, created_at=new.at)
        return message, run

    async def accepted(self, conversation_id: UUID, request_id: UUID) -> tuple[Message, Run] | None:
        """See the port."""
        found = await self.connection.execute(
            select(MESSAGE).where(MESSAGE.c.conversation_id == conversation_id, MESSAGE.c.request_id == request_id)
        )
        if (row := found.one_or_none()) is None:
            return None
        run = (await self.connection.execute(select(RUN).where(RUN.c.id == row.run_id))).one()
        seal = await self.seals.of_conversation(self.connection, conversation_id)
        return message_of(row, seal), run_of(run)

    async def get(self, conversation_id: UUID, run_id: UUID, owner_id: str) -> Run | None:
        """See the port."""
        statement = (
            select(RUN)
            .join(CONVERSATION, CONVERSATION.c.id == RUN.c.conversation_id)
            .where(RUN.c.id == run_id, CONVERSATION.c.id == conversation_id, CONVERSATION.c.owner_id == owner_id)
        )
        row = (await self.connection.execute(statement)).one_or_none()
        if row is None:
            return None
        is_known, seal = self.seals.known(conversation_id)
        if is_known:
            self.seals.remember(run_id, seal)  # a reader is about to follow the run
        return run_of(row)

    async def open_runs(self, conversation_id: UUID) -> list[UUID]:
        """See the port."""
        statement = select(RUN.c.id).where(RUN.c.conversation_id == conversation_id, RUN.c.state.in_(_OPEN))
        return list(await self.connection.scalars(statement))

    async def request_cancel(self, run_id: UUID) -> None:
        """See the port."""
        await self.connection.execute(_REQUEST_CANCEL, {"run_id": run_id})

    async def claim(self, conversation_id: UUID, history_size: int) -> Claim | None:
        """See the port."""
        row = (await self.connection.execute(_CLAIM, {"conversation_id": conversation_id})).one_or_none()
        if row is None:
            return None
        if row.id is None:
            return await self._take_up_or_release(conversation_id, row.fence, row.context, history_size)
        return await self._claim(row, row.fence, row.context, history_size)

    async def finish(
        self, claim: Claim, outcome: Outcome, message_id: UUID, history_size: int
    ) -> tuple[Run, Message | None, Claim | None]:
        """See the port."""
        run = claim.run
        output_id = message_id if outcome.text else None
        seal = await self.seals.of_conversation(self.connection, run.conversation_id)
        held = await self.connection.execute(
            _FINISH,
            {
                "conversation_id": run.conversation_id,
                "fence": claim.fence,
                "says": int(bool(outcome.text)),
                "message_id": message_id,
                "text": outcome.text if seal is None else seal.seal(outcome.text, about_message(message_id)),
                "run_id": run.run_id,
                "metadata": asdict(outcome.metadata),
                "state": outcome.state.value,
                "output_id": output_id,
                "reason": outcome.error_reason,
                "message": outcome.error_message,
            },
        )
        row = held.one_or_none()
        if row is None:
            raise LeaseLost
        message = None
        if output_id is not None:
            message = Message(
                output_id,
                run.conversation_id,
                row.last_sequence,
                "assistant",
                outcome.text,
                run.run_id,
                outcome.metadata,
                row.ended_at,
            )
        following = await self._take_up_or_release(run.conversation_id, claim.fence, row.context, history_size)
        return run_of(row), message, following

    async def renew(self, conversation_id: UUID, fence: int) -> bool:
        """See the port."""
        renewed = await self.connection.execute(_RENEW, {"conversation_id": conversation_id, "fence": fence})
        return renewed.rowcount == 1

    async def release(self, conversation_id: UUID, fence: int) -> None:
        """See the port."""
        await self.connection.execute(_RELEASE, {"conversation_id": conversation_id, "fence": fence})

    async def nudge_stranded(self, limit: int) -> int:
        """See the port."""
        conversation_ids = list(await self.connection.scalars(_NUDGE_STRANDED, {"limit": limit}))
        for conversation_id in conversation_ids:
            await self._nudge(conversation_id)
        return len(conversation_ids)

    async def _take_up_or_release(
        self, conversation_id: UUID, fence: int, context: dict[str, Any], history_size: int
    ) -> Claim | None:
        taken = await self.connection.execute(_TAKE_UP_OR_RELEASE, {"conversation_id": conversation_id, "fence": fence})
        row = taken.one_or_none()
        return None if row is None else await self._claim(row, fence, context, history_size)

    async def _claim(self, row: Row[Any], fence: int, context: dict[str, Any], history_size: int) -> Claim:
        run = run_of(row)
        history = await self.connection.execute(
            _HISTORY, {"conversation_id": run.conversation_id, "ordinal": run.ordinal, "size": history_size}
        )
        seal = await self.seals.of_conversation(self.connection, run.conversation_id)
        # The worker is about to write this run's events.
        self.seals.remember(run.run_id, seal)
        return Claim(run, fence, context_of(context), tuple(message_of(one, seal) for one in history)[::-1])

    async def _nudge(self, conversation_id: UUID) -> None:
        key = str(conversation_id)
        await self.outbox.add(self.connection, TOPIC, key, {"conversation_id": key})
