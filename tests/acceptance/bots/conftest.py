"""The operations of `bots` on real stores."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest
from redis.asyncio import Redis

from services.bots.backends.postgres_answering import PostgresAnswering
from services.bots.backends.postgres_stale_relay import PostgresStaleRelay
from services.bots.backends.postgres_transactions import PostgresTransactions
from services.bots.backends.valkey_caching_answering import ValkeyCachingAnswering
from services.bots.operations.keep_applications import KeepApplications
from services.bots.operations.keep_bots import KeepBots
from services.bots.operations.keep_prompts import KeepPrompts
from services.bots.operations.resolve_bot import ResolveBots, Wanted
from services.bots.operations.version_prompts import VersionPrompts
from services.bots.rules import Application, Bot, Prompt, Resolved, Variable
from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.chassis.owners import Who, owner_of
from services.chassis.pagination import PageTokens

TOKENS = PageTokens("a secret of the tests, long enough")
NO_ID = new_id()


@dataclass
class Bots:
    """Everything wired as in the product, on one cache."""

    relay: PostgresStaleRelay
    bots: KeepBots
    applications: KeepApplications
    prompts: KeepPrompts
    versions: VersionPrompts
    resolving: ResolveBots
    behind: PostgresAnswering

    async def told(self, who: Who, *texts: str) -> Bot:
        """Make a bot that is told the last one of the texts, each a version of its prompt."""
        prompt = await self.prompts.create(who, Prompt(NO_ID, "Told"), None)
        for text in texts:
            await self.versions.add(who, prompt.prompt_id, text, [Variable("name", default="you")], "", None)
        await self.versions.move(who, prompt.prompt_id, "production", len(texts), "")
        return await self.bots.create(who, Bot(NO_ID, "Bot", prompt_id=prompt.prompt_id), None)

    async def resolve(self, who: Who, bot: Bot) -> Resolved:
        """Return how the bot answers its user now."""
        return await self.resolving.resolve(Wanted(bot.bot_id, who.user_id))

    async def resolve_in(self, who: Who, application: Application) -> Resolved:
        """Return how the bot of an application answers its user now."""
        return await self.resolving.resolve(Wanted(None, who.user_id, application_id=application.application_id))


class KnownTools:
    """Implements the port Tools: everybody has every tool, but FOREIGN_TOOL."""

    async def of(self, user_id: str, organization_id: str, tool_ids: Sequence[UUID]) -> set[UUID]:
        """See the port."""
        return set(tool_ids) - {FOREIGN_TOOL}


FOREIGN_TOOL = UUID(int=13)


@asynccontextmanager
async def bots_on(database: Database, valkey: Redis, cache_seconds: float = 60.0) -> AsyncIterator[Bots]:
    """Wire the operations. The relay does not run by itself."""
    transactions = PostgresTransactions(database)
    behind = PostgresAnswering(database)
    answering = ValkeyCachingAnswering(valkey, behind, cache_seconds)
    relay = PostgresStaleRelay(database, answering)
    yield Bots(
        relay,
        KeepBots(transactions, TOKENS, KnownTools(), relay.wake),
        KeepApplications(transactions, TOKENS, relay.wake),
        KeepPrompts(transactions, TOKENS),
        VersionPrompts(transactions, TOKENS, relay.wake),
        ResolveBots(answering),
        behind,
    )


@pytest.fixture
async def house(database: Database, valkey: Redis) -> AsyncIterator[Bots]:
    """The operations, wired."""
    async with bots_on(database, valkey) as bots:
        yield bots


@pytest.fixture
def ann() -> Who:
    """A user of this test alone."""
    user_id = str(new_id())
    return Who(owner_of(user_id, ""), user_id)


@pytest.fixture
def bob() -> Who:
    """Another user."""
    user_id = str(new_id())
    return Who(owner_of(user_id, ""), user_id)
