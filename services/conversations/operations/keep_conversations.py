"""Open, list, change and delete conversations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from services.chassis import caller
from services.chassis.errors import InvalidFields
from services.chassis.identifiers import new_id
from services.chassis.pagination import PageTokens
from services.conversations.errors import (
    BotNotFound,
    BotsUnavailable,
    ConversationNotFound,
    PromptVariableInvalid,
    RequestIdReused,
)
from services.conversations.ports import Asker, Bots, ModelFailed, RunEvents, Transactions
from services.conversations.rules import ASSISTANT, Answerer, Context, Conversation, RunEvent, updated

_LIST = "conversations"


@dataclass(frozen=True, slots=True)
class KeepConversations:
    """The operations on conversations. Every one acts for an owner; another owner's conversation is not found."""

    transactions: Transactions
    events: RunEvents
    page_tokens: PageTokens
    bots: Bots | None = None

    async def create(
        self,
        owner_id: str,
        title: str,
        context: Context,
        request_id: UUID | None,
        *,
        private: bool = False,
        answerer: Answerer = ASSISTANT,
    ) -> Conversation:
        """Open a conversation and return it; the same `request_id` again returns the same conversation.

        Raises:
            RequestIdReused: the request id came before with another title, context or privacy.
            SecretsUnavailable: it is private, and the keeper of the keys is away.
            InvalidFields, CannotAnswer: who is to answer is not the owner's, or cannot as it is or with these values.
            BotsUnavailable: nobody can tell now.
        """
        await self._check(answerer, owner_id)
        now = datetime.now(UTC)
        wanted = Conversation(new_id(), title, context, 0, now, now, private, answerer=answerer)
        async with self.transactions.begin() as tx:
            if await tx.conversations.add(wanted, owner_id, request_id):
                return wanted
            assert request_id is not None  # noqa: S101 - nothing else can clash
            found = await tx.conversations.by_request(owner_id, request_id)
        # A conversation that was without a title may have got one from its first message meanwhile.
        same = found is not None and (found.context, found.private, found.answerer) == (context, private, answerer)
        if found is None or not same or (title and found.title != title):
            raise RequestIdReused(request_id=request_id)
        return found

    async def _check(self, answerer: Answerer, owner_id: str) -> None:
        if answerer.is_assistant:
            for variable in answerer.variables:
                raise PromptVariableInvalid(variable=variable, cause="is not a variable: no bot answers")
            return
        if answerer.bot_id is not None and answerer.application_id is not None:
            raise InvalidFields([("application_id", "must be empty when there is a bot_id")])
        if self.bots is None:
            raise BotNotFound(bot_id=answerer.bot_id)
        asker = Asker(owner_id, caller.current().organization_id, answerer, private=False)
        try:
            # Strict, for whoever writes a variable's name wrong should learn of it now.
            await self.bots.resolve(asker, strict=True)
        except ModelFailed as away:
            raise BotsUnavailable from away

    async def page(self, owner_id: str, size: int, token: str) -> tuple[Sequence[Conversation], str]:
        """Return a page of the owner's conversations, the last opened first, and the token of the next one."""
        asked = self.page_tokens.asked(f"{_LIST}/{owner_id}", size, token)
        async with self.transactions.autocommit() as tx:
            found = await tx.conversations.page(owner_id, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.conversation_id)

    async def get(self, owner_id: str, conversation_id: UUID) -> Conversation:
        """Return one conversation. Raises ConversationNotFound."""
        async with self.transactions.autocommit() as tx:
            found = await tx.conversations.get(conversation_id, owner_id)
        if found is None:
            raise ConversationNotFound(conversation_id=conversation_id)
        return found

    async def update(self, owner_id: str, wanted: Conversation, paths: Sequence[str]) -> Conversation:
        """Change the fields that the mask names and return the conversation.

        Raises:
            ConversationNotFound: the owner has none with this id.
            FieldNotUpdatable: the mask names a field that does not exist or is the server's.
            CannotAnswer, BotsUnavailable: the prompt variables change, and the bot cannot answer with these, or nobody
                can tell now.
        """
        found = await self.get(owner_id, wanted.conversation_id)
        answerer = updated(found, wanted, paths).answerer
        if answerer != found.answerer:
            await self._check(answerer, owner_id)
        async with self.transactions.begin() as tx:
            locked = await tx.conversations.get(wanted.conversation_id, owner_id, lock=True)
            if locked is None:
                raise ConversationNotFound(conversation_id=wanted.conversation_id)
            changed = replace(updated(locked, wanted, paths), updated_at=datetime.now(UTC))
            await tx.conversations.save(changed)
            return changed

    async def delete(self, owner_id: str, conversation_id: UUID) -> None:
        """Delete a conversation with its messages and stop what runs in it. Raises ConversationNotFound."""
        async with self.transactions.begin() as tx:
            if await tx.conversations.get(conversation_id, owner_id, lock=True) is None:
                raise ConversationNotFound(conversation_id=conversation_id)
            runs = await tx.runs.open_runs(conversation_id)
            await tx.withdrawals.owe(conversation_id)
            await tx.conversations.delete(conversation_id)
        for run_id in runs:
            await self.events.request_cancel(run_id)
            await self.events.end(run_id, RunEvent("cancelled"))
