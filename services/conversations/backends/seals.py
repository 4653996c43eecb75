"""The seals of private conversations: which data key seals what is said in which conversation."""

from collections import OrderedDict
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.data_keys import DataKeys, Seal
from services.conversations.backends.tables import CONVERSATION, RUN

_KEPT = 20_000


class Seals:
    """Finds seals and remembers them: a conversation is private or not for all its life, and its data key stays."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys
        self._of: OrderedDict[UUID, Seal | None] = OrderedDict()

    async def new(self, conversation_id: UUID) -> Seal:
        """Return the seal for a new private conversation. Raises SecretsUnavailable."""
        seal = await self._keys.new(context_of(conversation_id))
        self.remember(conversation_id, seal)
        return seal

    async def of_conversation(self, connection: AsyncConnection, conversation_id: UUID) -> Seal | None:
        """Return a conversation's seal; None when it is not private, or not there.

        Raises SecretsUnavailable, Undecipherable.
        """
        if conversation_id in self._of:
            return self._of[conversation_id]
        statement = select(CONVERSATION.c.id, CONVERSATION.c.data_key).where(CONVERSATION.c.id == conversation_id)
        row = (await connection.execute(statement)).one_or_none()
        return None if row is None else await self._opened(conversation_id, row)

    async def of_run(self, connection: AsyncConnection, run_id: UUID) -> Seal | None:
        """Return the seal of a run's conversation; None when it is not private. Raises LookupError when it is gone."""
        if run_id in self._of:
            return self._of[run_id]
        statement = (
            select(CONVERSATION.c.id, CONVERSATION.c.data_key)
            .join(RUN, RUN.c.conversation_id == CONVERSATION.c.id)
            .where(RUN.c.id == run_id)
        )
        row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise LookupError(run_id)
        return await self._opened(run_id, row)

    def known(self, key: UUID) -> tuple[bool, Seal | None]:
        """Return whether the seal of a conversation or run is remembered, and the seal."""
        return key in self._of, self._of.get(key)

    def remember(self, key: UUID, seal: Seal | None) -> None:
        """Remember the seal of a conversation or a run; the oldest are forgotten."""
        self._of[key] = seal
        while len(self._of) > _KEPT:
            self._of.popitem(last=False)

    async def _opened(self, key: UUID, row: Any) -> Seal | None:
        seal = None if row.data_key is None else await self._keys.open(context_of(row.id), row.data_key)
        self.remember(key, seal)
        return seal


def context_of(conversation_id: object) -> str:
    """Return what a conversation's wrapped data key is bound to."""
    return f"conversation/{conversation_id}"
