"""Runs and leases in PostgreSQL.

The lease with its fence is the one of Kleppmann, "How to do distributed locking" (2016): the fence rises with every
lease, and each write of a worker names its fence, so that one that slept through its lease writes nothing.
"""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.data_keys import Seal
from services.chassis.heartbeat import LeaseLost
from services.chassis.outbox import Outbox, event_parameters
from services.conversations.backends.run_statements import (
    ACCEPT,
    ACTIVATE,
    ANSWER_AGAIN,
    CLAIM,
    FINISH,
    HISTORY,
    MOVE,
    NUDGE_STRANDED,
    RELEASE,
    RENEW,
    REQUEST_CANCEL,
    SAVE_ROUND,
)
from services.conversations.backends.seals import Seals
from services.conversations.backends.storing_words import storing_words
from services.conversations.backends.tables import (
    CONVERSATION,
    MESSAGE,
    RUN,
    RUN_ROUND,
    about_message,
    asker_of,
    context_of,
    message_of,
    round_of,
    run_of,
    stored_call,
)
from services.conversations.ports import Claim, NewAnswer, NewMessage, RequestIdSeen
from services.conversations.rules import Message, Outcome, PromptMessage, Round, Run, RunState, shown

TOPIC = "incoming"
OUTGOING = "outgoing"
_OPEN = (RunState.QUEUED.value, RunState.RUNNING.value)


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
            row = (await self.connection.execute(ACCEPT, _parameters(stored))).one_or_none()
        except IntegrityError as error:
            raise RequestIdSeen from error
        if row is None:
            return None
        message = Message(
            new.message_id,
            new.conversation_id,
            row.last_sequence,
            "user",
            new.text,
            new.run_id,
            None,
            new.at,
            row.parent_id,
        )
        run = Run(
            new.run_id,
            new.conversation_id,
            row.last_sequence,
            new.message_id,
            RunState.QUEUED,
            created_at=new.at,
            tool_required=new.tool_required,
        )
        return message, run

    async def answer_again(self, new: NewAnswer) -> Run | None:
        """See the port."""
        try:
            row = (await self.connection.execute(ANSWER_AGAIN, _parameters(new))).one_or_none()
        except IntegrityError as error:
            raise RequestIdSeen from error
        if row is None:
            return None
        return Run(
            new.run_id, new.conversation_id, row.last_sequence, new.message_id, RunState.QUEUED, created_at=new.at
        )

    async def answered_again(self, conversation_id: UUID, request_id: UUID) -> Run | None:
        """See the port."""
        found = await self.connection.execute(
            select(RUN).where(RUN.c.conversation_id == conversation_id, RUN.c.request_id == request_id)
        )
        row = found.one_or_none()
        return None if row is None else run_of(row)

    async def activate(self, conversation_id: UUID, owner_id: str, message_id: UUID) -> bool:
        """See the port."""
        of = {"conversation_id": conversation_id, "owner_id": owner_id, "message_id": message_id}
        return (await self.connection.execute(ACTIVATE, of)).rowcount == 1

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
        await self.connection.execute(REQUEST_CANCEL, {"run_id": run_id})

    async def claim(self, conversation_id: UUID, history_size: int) -> Claim | None:
        """See the port."""
        # Before anything changes: a key that cannot be had now costs the run no attempt.
        await self.seals.of_conversation(self.connection, conversation_id)
        while True:
            about = {"conversation_id": conversation_id, "size": history_size}
            row = (await self.connection.execute(CLAIM, about)).one_or_none()
            if row is None:
                return None
            if row.id is not None:
                return await self._claim(row, row.history)
            # What waited has ended meanwhile. What came meanwhile found the lease taken.
            await self.release(conversation_id, row.fence)

    async def rounds(self, run_id: UUID) -> list[Round]:
        """See the port."""
        statement = select(RUN_ROUND).where(RUN_ROUND.c.run_id == run_id).order_by(RUN_ROUND.c.depth)
        return [round_of(row) for row in await self.connection.execute(statement)]

    async def save_round(self, claim: Claim, one: Round) -> None:
        """See the port."""
        saved = {
            "conversation_id": claim.run.conversation_id,
            "fence": claim.fence,
            "run_id": claim.run.run_id,
            "depth": one.depth,
            "text": one.text,
            "metadata": asdict(one.metadata),
            "calls": [stored_call(call) for call in one.calls],
            "at": one.asked_at,
        }
        with storing_words():
            stored = await self.connection.execute(SAVE_ROUND, saved)
        if stored.one_or_none() is None:
            raise LeaseLost

    async def finish(
        self, claim: Claim, outcome: Outcome, message_id: UUID, history_size: int
    ) -> tuple[Run, Message | None, Claim | None]:
        """See the port."""
        run = claim.run
        output_id = message_id if outcome.text else None
        seal = await self.seals.of_conversation(self.connection, run.conversation_id)
        ending = {
            "conversation_id": run.conversation_id,
            "fence": claim.fence,
            "says": int(bool(outcome.text)),
            "question_id": run.message_id,
            "message_id": message_id,
            "text": outcome.text if seal is None else _sealed(seal, outcome.text, message_id),
            "run_id": run.run_id,
            "metadata": asdict(outcome.metadata),
            "state": outcome.state.value,
            "output_id": output_id,
            "reason": outcome.error_reason,
            "message": outcome.error_message,
            **event_parameters(OUTGOING, str(run.conversation_id)),
        }
        with storing_words():
            rows = {row.id == run.run_id: row for row in await self.connection.execute(FINISH, ending)}
        row, taken = rows.get(True), rows.get(False)
        if row is None:
            raise LeaseLost
        message = None
        if output_id is not None:
            rounds = await self.rounds(run.run_id) if outcome.metadata.tool_calls else []
            message = Message(
                output_id,
                run.conversation_id,
                row.last_sequence,
                "assistant",
                outcome.text,
                run.run_id,
                outcome.metadata,
                row.ended_at,
                run.message_id,
                shown(rounds),
            )
        if taken is not None:
            # The answer that was just stored is part of what was said.
            about = {"message_id": taken.message_id, "size": history_size}
            return run_of(row), message, await self._claim(taken, await self.connection.scalar(HISTORY, about))
        return run_of(row), message, await self._looked_again(row, ending, history_size)

    async def _looked_again(self, row: Row[Any], ending: dict[str, Any], history_size: int) -> Claim | None:
        """Take up what came, or was cancelled, just as a run ended: that statement saw it not, or only half of it."""
        if row.is_leased:
            await self.release(row.conversation_id, row.fence)
        elif not row.was_nudged:
            return None
        if ending["says"]:
            await self.connection.execute(MOVE, ending)
        return await self.claim(row.conversation_id, history_size)

    async def renew(self, conversation_id: UUID, fence: int) -> bool:
        """See the port."""
        renewed = await self.connection.execute(RENEW, {"conversation_id": conversation_id, "fence": fence})
        return renewed.rowcount == 1

    async def release(self, conversation_id: UUID, fence: int) -> None:
        """See the port."""
        await self.connection.execute(RELEASE, {"conversation_id": conversation_id, "fence": fence})

    async def nudge_stranded(self, limit: int) -> int:
        """See the port."""
        rows = (await self.connection.execute(NUDGE_STRANDED, {"limit": limit})).all()
        for row in rows:
            key = str(row.id)
            await self.outbox.add(self.connection, TOPIC, key, {"conversation_id": key, "tenant": row.tenant})
        return len(rows)

    async def _claim(self, row: Row[Any], history: list[list[str]]) -> Claim:
        run = run_of(row)
        seal = await self.seals.of_conversation(self.connection, run.conversation_id)
        # The worker is about to write this run's events.
        self.seals.remember(run.run_id, seal)
        said = tuple(
            PromptMessage(role, said if seal is None else seal.open(said, about_message(message_id)))
            for message_id, role, said in history
        )
        return Claim(run, row.fence, asker_of(row), context_of(row.context), said)


def _sealed(seal: Seal, text: str, message_id: UUID) -> str:
    with storing_words():
        return seal.seal(text, about_message(message_id))


def _parameters(new: NewMessage | NewAnswer) -> dict[str, object]:
    # asdict would copy ids and times.
    stored = {one.name: getattr(new, one.name) for one in fields(new)}
    return stored | event_parameters(TOPIC, str(new.conversation_id))
