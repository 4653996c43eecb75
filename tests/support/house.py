"""The operations of `conversations` on real stores, with a model that the test scripts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from services.chassis.data_keys import DataKeys
from services.chassis.database import Database
from services.chassis.field_keys.local import LocalFieldEncryption
from services.chassis.outbox import Outbox
from services.chassis.pagination import PageTokens
from services.chassis.wake_ups import WakeUps
from services.conversations.backends.postgres_transactions import PostgresTransactions
from services.conversations.backends.sealed_run_events import SealedRunEvents
from services.conversations.backends.seals import Seals
from services.conversations.backends.tables import OUTBOX
from services.conversations.backends.valkey_run_events import ValkeyRunEvents
from services.conversations.operations.answer_messages import AnswerMessages
from services.conversations.operations.branch_messages import BranchMessages
from services.conversations.operations.chat import Chat
from services.conversations.operations.converse import Converse
from services.conversations.operations.follow_run import FollowRuns
from services.conversations.operations.keep_conversations import KeepConversations
from services.conversations.operations.send_message import SendMessages
from services.conversations.ports import PLAIN, Asking, ModelFailed, Summary, TakenBack
from services.conversations.rules import Metadata, PromptMessage, Run, ToolRequest

Step = str | TakenBack | ToolRequest | Exception | asyncio.Event
Script = Callable[[Sequence[PromptMessage]], list[Step]]


def echo(messages: Sequence[PromptMessage]) -> list[Step]:
    """Answer with what was said last."""
    return ["You said: ", messages[-1].text]


@dataclass
class ScriptedModel:
    """A model that says what `script` returns: texts are said, calls asked for, errors raised, events waited for."""

    script: Script = echo
    prompts: list[list[PromptMessage]] = field(default_factory=list)

    async def generate(
        self, messages: Sequence[PromptMessage], seconds: float, asking: Asking = PLAIN
    ) -> AsyncIterator[str | TakenBack | ToolRequest | Summary]:
        """See the port AnswerModel."""
        self.prompts.append(list(messages))
        for step in self.script(messages):
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step
        yield Summary(Metadata("scripted", 1, 2, "stop"))


def failure(*, retryable: bool) -> ModelFailed:
    """Return what a model raises that gives no answer."""
    return ModelFailed("MODEL_UNAVAILABLE", "it is away", retryable=retryable)


class House:
    """Everything wired, for one test module."""

    def __init__(self, database: Database, valkey: Redis, keys: Path) -> None:
        self.wake_ups = WakeUps(valkey)
        self.model = ScriptedModel()
        self.encryption = LocalFieldEncryption(keys / "field-keys.json", "conversations")
        seals = Seals(DataKeys(self.encryption))
        self.transactions = PostgresTransactions(database, Outbox(database, OUTBOX), seals)
        self.events = SealedRunEvents(ValkeyRunEvents(valkey, self.wake_ups), database, seals)
        tokens = PageTokens("a secret of the tests, long enough")
        self.conversations = KeepConversations(self.transactions, self.events, tokens)
        self.messages = SendMessages(self.transactions, tokens)
        self.branches = BranchMessages(self.transactions)
        self.runs = FollowRuns(self.transactions, self.events)
        self.chat = Chat(self.transactions, self.conversations, self.messages, self.runs, 20.0)
        self.answers = AnswerMessages(
            self.transactions, self.events, Converse(self.transactions, self.model, "Be kind.", 60.0), 100
        )

    async def answered(self, owner: str, run: Run) -> Run:
        """Follow a run to its end and return it."""
        async for _ in self.runs.follow(owner, run.conversation_id, run.run_id, 0):
            pass
        return await self.runs.get(owner, run.conversation_id, run.run_id)
