"""Answer again, and choose between branches."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.chassis.identifiers import new_id
from services.conversations.errors import ConversationNotFound, MessageNotFound, RequestIdReused
from services.conversations.operations import meters
from services.conversations.ports import NewAnswer, RequestIdSeen, Transactions
from services.conversations.rules import Conversation, Run, question_of


@dataclass(frozen=True, slots=True)
class BranchMessages:
    """The operations on the tree of messages. Nothing that was said is changed or lost: a branch is added."""

    transactions: Transactions

    async def regenerate(self, owner_id: str, conversation_id: UUID, message_id: UUID, request_id: UUID | None) -> Run:
        """Queue a further answer to a question, or to the question that an answer answers, and return its run.

        Raises:
            MessageNotFound: the owner's conversation has no such message.
            RequestIdReused: the request id came before for another message.
        """
        try:
            async with self.transactions.autocommit() as tx:
                message = await tx.conversations.message(message_id)
                if message is None or message.conversation_id != conversation_id:
                    raise MessageNotFound(message_id=message_id)
                question = question_of(message)
                now = datetime.now(UTC)
                run = await tx.runs.answer_again(
                    NewAnswer(new_id(), conversation_id, owner_id, question, request_id, now)
                )
                if run is None:
                    raise MessageNotFound(message_id=message_id)
        except RequestIdSeen:
            assert request_id is not None  # noqa: S101 - nothing else can clash
            return await self._repeated(conversation_id, question, request_id)
        self.transactions.nudge_committed()
        meters.accepted()
        return run

    async def _repeated(self, conversation_id: UUID, question: UUID, request_id: UUID) -> Run:
        async with self.transactions.autocommit() as tx:
            found = await tx.runs.answered_again(conversation_id, request_id)
        if found is None or found.message_id != question:
            raise RequestIdReused(request_id=request_id)
        return found

    async def activate(self, owner_id: str, conversation_id: UUID, message_id: UUID) -> Conversation:
        """Make the branch through a message the active one and return the conversation: what is said next follows it.

        Raises:
            ConversationNotFound: the owner has none with this id.
            MessageNotFound: the conversation has no such message.
        """
        async with self.transactions.begin() as tx:
            if await tx.conversations.get(conversation_id, owner_id, lock=True) is None:
                raise ConversationNotFound(conversation_id=conversation_id)
            if not await tx.runs.activate(conversation_id, owner_id, message_id):
                raise MessageNotFound(message_id=message_id)
            found = await tx.conversations.get(conversation_id, owner_id)
        assert found is not None  # noqa: S101 - it is locked
        return found
