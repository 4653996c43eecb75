"""Accept messages and list them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.chassis.errors import InvalidFields, StoreUnavailable
from services.chassis.identifiers import new_id
from services.chassis.pagination import HEAVY_PAGE_SIZE, PageTokens
from services.conversations.errors import ConversationNotFound, MessageNotFound, RequestIdReused
from services.conversations.operations import meters
from services.conversations.ports import NewMessage, RequestIdSeen, Transaction, Transactions
from services.conversations.rules import Message, Run, check_editable, title_of

_LIST = "messages"
_ACCEPT_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class SendMessages:
    """The operations on messages."""

    transactions: Transactions
    page_tokens: PageTokens

    async def send(
        self,
        owner_id: str,
        conversation_id: UUID,
        text: str,
        request_id: UUID | None,
        edits: UUID | None = None,
        *,
        tool_required: bool = False,
    ) -> tuple[Message, Run]:
        """Store a user message with the run that will answer it, and return both at once.

        With `tool_required` the answer begins with a call of a tool, if the bot has any.
        With `edits` it takes the place of that message, on a branch of its own; the other branch stays.
        The message, its run and the nudge for the workers are one statement: what was accepted will be answered.

        Raises:
            InvalidFields: there is nothing but space in `text`.
            ConversationNotFound: the owner has none with this id.
            MessageNotFound: the conversation has no message `edits`.
            MessageNotEditable: the assistant said it.
            RequestIdReused: the request id came before with another text.
            StoreUnavailable: the database is away, or takes longer than 8 s.
        """
        if not text.strip():
            raise InvalidFields([("text", "must not be blank")])
        new = NewMessage(
            message_id=new_id(),
            run_id=new_id(),
            conversation_id=conversation_id,
            owner_id=owner_id,
            text=text,
            title=title_of(text),
            request_id=request_id,
            at=datetime.now(UTC),
            edits=edits,
            tool_required=tool_required,
        )
        try:
            async with asyncio.timeout(_ACCEPT_SECONDS), self.transactions.autocommit() as tx:
                if edits is not None:
                    await _check_edited(tx, owner_id, conversation_id, edits)
                accepted = await tx.runs.accept(new)
        except RequestIdSeen:
            return await self._repeated(new)
        except TimeoutError as error:
            # A database that hangs: whoever waits is told so, instead of heaping up.
            raise StoreUnavailable from error
        if accepted is None:
            raise ConversationNotFound(conversation_id=conversation_id)
        self.transactions.nudge_committed()
        meters.accepted()
        return accepted

    async def _repeated(self, new: NewMessage) -> tuple[Message, Run]:
        assert new.request_id is not None  # noqa: S101 - nothing else can clash
        async with self.transactions.autocommit() as tx:
            found = await tx.runs.accepted(new.conversation_id, new.request_id)
        if found is None or found[0].text != new.text:
            raise RequestIdReused(request_id=new.request_id)
        return found

    async def page(self, owner_id: str, conversation_id: UUID, size: int, token: str) -> tuple[Sequence[Message], str]:
        """Return a page of messages, the first one first, and the token of the next page.

        Raises ConversationNotFound.
        """
        asked = self.page_tokens.asked(f"{_LIST}/{conversation_id}", size, token, HEAVY_PAGE_SIZE)
        async with self.transactions.autocommit() as tx:
            if await tx.conversations.get(conversation_id, owner_id) is None:
                raise ConversationNotFound(conversation_id=conversation_id)
            found = await tx.conversations.messages(conversation_id, int(asked.last or 0), asked.count)
        return asked.of(found, lambda one: one.sequence)


async def _check_edited(tx: Transaction, owner_id: str, conversation_id: UUID, message_id: UUID) -> None:
    if await tx.conversations.get(conversation_id, owner_id) is None:
        raise ConversationNotFound(conversation_id=conversation_id)
    message = await tx.conversations.message(message_id)
    if message is None or message.conversation_id != conversation_id:
        raise MessageNotFound(message_id=message_id)
    check_editable(message)
