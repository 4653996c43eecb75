"""Make, list, change and delete bots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from services.bots.errors import BotNotFound, EtagMismatch, PromptNotFound, RequestIdReused, ToolNotFound
from services.bots.operations.recording import record
from services.bots.ports import Tools, Transaction, Transactions
from services.bots.rules import BOT_FIELDS, Bot, Change, bot_key, is_repeat, updated
from services.chassis.errors import InvalidFields
from services.chassis.etags import check_etag
from services.chassis.identifiers import new_id
from services.chassis.owners import Who, organization_in
from services.chassis.pagination import PageTokens


@dataclass(frozen=True, slots=True)
class KeepBots:
    """The operations on bots. Every one acts for an owner; another owner's bot is not found."""

    transactions: Transactions
    page_tokens: PageTokens
    tools: Tools
    committed: Callable[[], None]

    async def create(self, who: Who, wanted: Bot, request_id: UUID | None) -> Bot:
        """Make a bot and return it; the same `request_id` again returns the same bot.

        Raises:
            InvalidFields: it has no name.
            PromptNotFound: its prompt is not the owner's.
            ToolNotFound: a tool is neither the owner's nor the caller's.
            ToolsUnavailable: that cannot be told now.
            RequestIdReused: the request id came before with another bot.
        """
        if not wanted.name.strip():
            raise InvalidFields([("bot.name", "is required")])
        await self._check_tools(who, wanted.tool_ids)
        now = datetime.now(UTC)
        bot = replace(wanted, bot_id=new_id(), created_at=now, updated_at=now)
        async with self.transactions.begin() as tx:
            await _check_prompt(tx, who, bot)
            if await tx.bots.add(bot, who.owner, request_id):
                await record(tx, who, "bot", bot.bot_id, "created", bot.name)
                return bot
            assert request_id is not None  # noqa: S101 - nothing else can clash
            found = await tx.bots.by_request(who.owner, request_id)
        if found is None or not is_repeat(found, bot, BOT_FIELDS):
            raise RequestIdReused(request_id=request_id)
        return found

    async def page(self, who: Who, size: int, token: str) -> tuple[Sequence[Bot], str]:
        """Return a page of the owner's bots, the last made first, and the token of the next one."""
        asked = self.page_tokens.asked(f"bots/{who.owner}", size, token)
        async with self.transactions.read() as tx:
            found = await tx.bots.page(who.owner, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.bot_id)

    async def get(self, who: Who, bot_id: UUID) -> Bot:
        """Return one bot. Raises BotNotFound."""
        async with self.transactions.read() as tx:
            found = await tx.bots.get(bot_id, who.owner)
        if found is None:
            raise BotNotFound(bot_id=bot_id)
        return found

    async def update(self, who: Who, wanted: Bot, paths: Sequence[str], etag: str) -> Bot:
        """Change the fields that the mask names and return the bot.

        Raises:
            BotNotFound, PromptNotFound, ToolNotFound: the owner has none with this id.
            ToolsUnavailable: whose tools these are cannot be told now.
            EtagMismatch: it has changed since `etag`.
            FieldNotUpdatable: the mask names a field that does not exist or is the server's.
            InvalidFields: it would have no name.
        """
        before = await self.get(who, wanted.bot_id)
        new, _ = updated(before, wanted, paths, BOT_FIELDS)
        # Another service is asked before the transaction. A tool that was deleted since stays without harm.
        await self._check_tools(who, [one for one in new.tool_ids if one not in before.tool_ids])
        async with self.transactions.begin() as tx:
            found = await tx.bots.get(wanted.bot_id, who.owner, lock=True)
            if found is None:
                raise BotNotFound(bot_id=wanted.bot_id)
            check_etag(found.revision, etag, EtagMismatch)
            changed, fields = updated(found, wanted, paths, BOT_FIELDS)
            if not fields:
                return found
            if not changed.name.strip():
                raise InvalidFields([("bot.name", "is required")])
            await _check_prompt(tx, who, changed)
            changed = replace(changed, revision=found.revision + 1, updated_at=datetime.now(UTC))
            await tx.bots.save(changed)
            await record(tx, who, "bot", changed.bot_id, "updated", ", ".join(fields), stale=bot_key(changed.bot_id))
        self.committed()
        return changed

    async def delete(self, who: Who, bot_id: UUID, etag: str) -> None:
        """Delete a bot. Raises BotNotFound, EtagMismatch, BotInUse."""
        async with self.transactions.begin() as tx:
            found = await tx.bots.get(bot_id, who.owner, lock=True)
            if found is None:
                raise BotNotFound(bot_id=bot_id)
            check_etag(found.revision, etag, EtagMismatch)
            await tx.bots.delete(bot_id)
            await record(tx, who, "bot", bot_id, "deleted", found.name, stale=bot_key(bot_id))
        self.committed()

    async def changes(self, who: Who, subject_id: UUID | None, size: int, token: str) -> tuple[Sequence[Change], str]:
        """Return a page of the owner's changes, the last one first, and the token of the next one."""
        asked = self.page_tokens.asked(f"changes/{who.owner}/{subject_id}", size, token)
        async with self.transactions.read() as tx:
            found = await tx.changes.page(who.owner, subject_id, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.change_id)

    async def _check_tools(self, who: Who, tool_ids: Sequence[UUID]) -> None:
        if not tool_ids:
            return
        found = await self.tools.of(who.user_id, organization_in(who.owner), tool_ids)
        for tool_id in tool_ids:
            if tool_id not in found:
                raise ToolNotFound(tool_id=tool_id)


async def _check_prompt(tx: Transaction, who: Who, bot: Bot) -> None:
    if bot.prompt_id is not None and await tx.prompts.get(bot.prompt_id, who.owner) is None:
        raise PromptNotFound(prompt_id=bot.prompt_id)
