"""Answer in one call, for clients that do not stream."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.conversations.errors import AnswerCancelled, AnswerFailed, AnswerTimeout, ConversationNotFound
from services.conversations.operations.follow_run import FollowRuns
from services.conversations.operations.keep_conversations import KeepConversations
from services.conversations.operations.send_message import SendMessages
from services.conversations.ports import Transactions
from services.conversations.rules import Context, Conversation, Message, Run, RunEvent

_SESSION_MESSAGES = 1000


@dataclass(frozen=True, slots=True)
class Chat:
    """The operations on sessions: conversations seen as one question and one answer at a time."""

    transactions: Transactions
    conversations: KeepConversations
    messages: SendMessages
    runs: FollowRuns
    wait_seconds: float

    async def ask(
        self, owner_id: str, text: str, session_id: UUID | None, context: Context, request_id: UUID | None
    ) -> tuple[UUID, Message, float]:
        """Say something and wait for the answer. Returns the session, the answer and how many seconds it took.

        Raises:
            ConversationNotFound: the owner has no such session.
            AnswerFailed: the model gave no answer.
            AnswerTimeout: the answer is not there after the time of the setting; it will land in the session.
            AnswerCancelled: someone cancelled the run.
        """
        started = time.monotonic()
        conversation = await self._session(owner_id, session_id, context)
        session_id = conversation.conversation_id
        _, run = await self.messages.send(owner_id, session_id, text, request_id)
        try:
            async with asyncio.timeout(self.wait_seconds):
                last = await self._last_event(owner_id, run)
        except TimeoutError as error:
            raise AnswerTimeout(session_id=session_id, run_id=run.run_id) from error
        if last.kind == "completed" and last.message is not None:
            return session_id, last.message, time.monotonic() - started
        if last.kind == "cancelled":
            raise AnswerCancelled(run_id=run.run_id)
        raise AnswerFailed(run_id=run.run_id, cause=last.error_reason)

    async def _session(self, owner_id: str, session_id: UUID | None, context: Context) -> Conversation:
        if session_id is None:
            return await self.conversations.create(owner_id, "", context, None)
        if context == Context():
            return await self.conversations.get(owner_id, session_id)
        wanted = await self.conversations.get(owner_id, session_id)
        changed = Conversation(session_id, "", context, 0, wanted.created_at, wanted.updated_at)
        return await self.conversations.update(owner_id, changed, [])

    async def _last_event(self, owner_id: str, run: Run) -> RunEvent:
        async for event in self.runs.follow(owner_id, run.conversation_id, run.run_id, 0):
            if event.is_last:
                return event
        return RunEvent("failed", error_reason="ENDED_WITHOUT_EVENT")

    async def session(self, owner_id: str, session_id: UUID) -> tuple[Conversation, Sequence[Message]]:
        """Return a session with its last messages. Raises ConversationNotFound."""
        async with self.transactions.autocommit() as tx:
            conversation = await tx.conversations.get(session_id, owner_id)
            if conversation is None:
                raise ConversationNotFound(conversation_id=session_id)
            return conversation, await tx.conversations.last_messages(session_id, _SESSION_MESSAGES)
