"""What is needed to answer, read from PostgreSQL."""

from uuid import UUID

from sqlalchemy import and_, select

from services.bots.backends.tables import (
    APPLICATION,
    BOT,
    PROMPT_LABEL,
    PROMPT_VERSION,
    application_of,
    bot_of,
    version_of,
)
from services.bots.rules import Application, Bot, PromptVersion
from services.chassis.database import Database


class PostgresAnswering:
    """Implements the port Answering."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def bot(self, bot_id: UUID) -> tuple[Bot, str] | None:
        """See the port."""
        async with self._database.autocommit() as connection:
            row = (await connection.execute(select(BOT).where(BOT.c.id == bot_id))).one_or_none()
        return None if row is None else (bot_of(row), row.owner)

    async def application(self, application_id: UUID) -> tuple[Application, str] | None:
        """See the port."""
        async with self._database.autocommit() as connection:
            row = (
                await connection.execute(select(APPLICATION).where(APPLICATION.c.id == application_id))
            ).one_or_none()
        return None if row is None else (application_of(row), row.owner)

    async def prompt(self, prompt_id: UUID, label: str) -> PromptVersion | None:
        """See the port."""
        version, labelled = PROMPT_VERSION, PROMPT_LABEL
        same = and_(labelled.c.prompt_id == version.c.prompt_id, labelled.c.version == version.c.number)
        statement = (
            select(version).join(labelled, same).where(labelled.c.prompt_id == prompt_id, labelled.c.name == label)
        )
        async with self._database.autocommit() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else version_of(row)
