"""Bots in PostgreSQL."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.bots.backends.owned_rows import OwnedRows
from services.bots.backends.tables import APPLICATION, BOT, bot_of
from services.bots.errors import BotInUse
from services.bots.rules import Bot


class PostgresBotStore(OwnedRows[Bot]):
    """Implements the port BotStore on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, BOT, "bot_id", bot_of)

    async def delete(self, row_id: UUID) -> None:
        """See the port."""
        # The bot is locked: nobody can give it to an application between the question and the deletion.
        used = select(APPLICATION.c.id).where(APPLICATION.c.bot_id == row_id).limit(1)
        if await self.connection.scalar(used) is not None:
            raise BotInUse(bot_id=row_id)
        await OwnedRows.delete(self, row_id)
