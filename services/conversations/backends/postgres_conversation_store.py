"""Conversations and messages in PostgreSQL."""

from collections import defaultdict
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis import caller
from services.conversations.backends.run_statements import SHOWN_CALLS
from services.conversations.backends.seals import Seals
from services.conversations.backends.tables import (
    CONVERSATION,
    MESSAGE,
    conversation_of,
    message_of,
    round_of,
    stored_context,
)
from services.conversations.rules import Conversation, Message, Round, shown


@dataclass(frozen=True, slots=True)
class PostgresConversationStore:
    """Implements the port ConversationStore on one connection."""

    connection: AsyncConnection
    seals: Seals

    async def add(self, conversation: Conversation, owner_id: str, request_id: UUID | None) -> bool:
        """See the port."""
        seal = await self.seals.new(conversation.conversation_id) if conversation.private else None
        statement = (
            postgres_insert(CONVERSATION)
            .values(
                id=conversation.conversation_id,
                owner_id=owner_id,
                organization_id=caller.current().organization_id or None,
                title=conversation.title,
                context=stored_context(conversation.context),
                request_id=request_id,
                last_sequence=0,
                fence=0,
                data_key=None if seal is None else seal.wrapped,
                bot_id=conversation.answerer.bot_id,
                application_id=conversation.answerer.application_id,
                prompt_variables=dict(conversation.answerer.variables),
                created_at=conversation.created_at,
                updated_at=conversation.updated_at,
            )
            .on_conflict_do_nothing(index_elements=["owner_id", "request_id"])
        )
        return (await self.connection.execute(statement)).rowcount == 1

    async def by_request(self, owner_id: str, request_id: UUID) -> Conversation | None:
        """See the port."""
        statement = select(CONVERSATION).where(
            CONVERSATION.c.owner_id == owner_id, CONVERSATION.c.request_id == request_id
        )
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else conversation_of(row)

    async def get(self, conversation_id: UUID, owner_id: str, *, lock: bool = False) -> Conversation | None:
        """See the port."""
        statement = select(CONVERSATION).where(
            CONVERSATION.c.id == conversation_id, CONVERSATION.c.owner_id == owner_id
        )
        if lock:
            statement = statement.with_for_update()
        row = (await self.connection.execute(statement)).one_or_none()
        return None if row is None else conversation_of(row)

    async def page(self, owner_id: str, before: UUID | None, size: int) -> list[Conversation]:
        """See the port."""
        statement = select(CONVERSATION).where(CONVERSATION.c.owner_id == owner_id)
        if before is not None:
            statement = statement.where(CONVERSATION.c.id < before)
        rows = await self.connection.execute(statement.order_by(CONVERSATION.c.id.desc()).limit(size))
        return [conversation_of(row) for row in rows]

    async def save(self, conversation: Conversation) -> None:
        """See the port."""
        await self.connection.execute(
            update(CONVERSATION)
            .where(CONVERSATION.c.id == conversation.conversation_id)
            .values(
                title=conversation.title,
                context=stored_context(conversation.context),
                prompt_variables=dict(conversation.answerer.variables),
                updated_at=conversation.updated_at,
            )
        )

    async def delete(self, conversation_id: UUID) -> None:
        """See the port."""
        await self.connection.execute(delete(CONVERSATION).where(CONVERSATION.c.id == conversation_id))

    async def messages(self, conversation_id: UUID, after: int, size: int) -> list[Message]:
        """See the port."""
        statement = (
            select(MESSAGE)
            .where(MESSAGE.c.conversation_id == conversation_id, MESSAGE.c.sequence > after)
            .order_by(MESSAGE.c.sequence)
            .limit(size)
        )
        seal = await self.seals.of_conversation(self.connection, conversation_id)
        return await self._with_calls([message_of(row, seal) for row in await self.connection.execute(statement)])

    async def last_messages(self, conversation_id: UUID, size: int) -> list[Message]:
        """See the port."""
        statement = (
            select(MESSAGE)
            .where(MESSAGE.c.conversation_id == conversation_id)
            .order_by(MESSAGE.c.sequence.desc())
            .limit(size)
        )
        seal = await self.seals.of_conversation(self.connection, conversation_id)
        found = [message_of(row, seal) for row in await self.connection.execute(statement)]
        return await self._with_calls(found[::-1])

    async def message(self, message_id: UUID) -> Message | None:
        """See the port."""
        row = (await self.connection.execute(select(MESSAGE).where(MESSAGE.c.id == message_id))).one_or_none()
        if row is None:
            return None
        message = message_of(row, await self.seals.of_conversation(self.connection, row.conversation_id))
        return (await self._with_calls([message]))[0]

    async def _with_calls(self, messages: list[Message]) -> list[Message]:
        run_ids = [one.run_id for one in messages if one.metadata is not None and one.metadata.tool_calls]
        if not run_ids:
            return messages
        rounds: defaultdict[UUID, list[Round]] = defaultdict(list)
        for row in await self.connection.execute(SHOWN_CALLS, {"run_ids": run_ids}):
            rounds[UUID(str(row.run_id))].append(round_of(row))
        return [
            replace(one, tool_calls=shown(rounds.get(one.run_id, ()))) if one.metadata is not None else one
            for one in messages
        ]
