"""What the operations need from outside."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.conversations.rules import (
    Answerer,
    Context,
    Conversation,
    Message,
    Metadata,
    Outcome,
    PromptMessage,
    Round,
    Run,
    RunEvent,
    ToolCall,
    ToolRequest,
)


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom a conversation is answered, and by whom."""

    user_id: str
    organization_id: str
    answerer: Answerer
    private: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that a worker may answer now, with what it needs to know. `fence` rises with every lease."""

    run: Run
    fence: int
    asker: Asker
    context: Context
    history: tuple[PromptMessage, ...]
    """What was said up to and with the run's own message, each question followed by its answer."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A user message that is to be accepted."""

    message_id: UUID
    run_id: UUID
    conversation_id: UUID
    owner_id: str
    text: str
    title: str
    """The conversation's title, if it has none yet."""
    request_id: UUID | None
    at: datetime
    edits: UUID | None = None
    """The message whose place it takes, on a branch of its own."""
    tool_required: bool = False
    """Whether the answer has to begin with a call of a tool."""


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """A further answer, to a user message that is there."""

    run_id: UUID
    conversation_id: UUID
    owner_id: str
    message_id: UUID
    request_id: UUID | None
    at: datetime


class RequestIdSeen(Exception):
    """The request id was used before in the conversation."""


class ConversationStore(Protocol):
    """Conversations and their messages, inside one transaction."""

    async def add(self, conversation: Conversation, owner_id: str, request_id: UUID | None) -> bool:
        """Store a new conversation; False, having stored nothing, when the owner used the request id before."""

    async def by_request(self, owner_id: str, request_id: UUID) -> Conversation | None:
        """Return the conversation that was opened with a request id."""

    async def get(self, conversation_id: UUID, owner_id: str, *, lock: bool = False) -> Conversation | None:
        """Return the owner's conversation; `lock` keeps others from changing it until the transaction ends."""

    async def page(self, owner_id: str, before: UUID | None, size: int) -> list[Conversation]:
        """Return the owner's conversations opened before `before`, the last opened first."""

    async def save(self, conversation: Conversation) -> None:
        """Store title, context and update time."""

    async def delete(self, conversation_id: UUID) -> None:
        """Delete a conversation with its messages and runs."""

    async def messages(self, conversation_id: UUID, after: int, size: int) -> list[Message]:
        """Return messages with a sequence above `after`, in their order."""

    async def last_messages(self, conversation_id: UUID, size: int) -> list[Message]:
        """Return the last messages, in their order."""

    async def message(self, message_id: UUID) -> Message | None:
        """Return one message."""


class RunStore(Protocol):
    """Runs and the leases of the workers, inside one transaction."""

    async def accept(self, new: NewMessage) -> tuple[Message, Run] | None:
        """Store a user message, its run and the nudge for the workers.

        Returns None, having stored nothing, when the conversation is not the owner's.
        Raises RequestIdSeen when the request id was used before in the conversation; nothing is stored then.
        """

    async def accepted(self, conversation_id: UUID, request_id: UUID) -> tuple[Message, Run] | None:
        """Return what `accept` stored for a request id."""

    async def answer_again(self, new: NewAnswer) -> Run | None:
        """Queue a further answer and nudge the workers, or return None when the conversation is not the owner's.

        Raises RequestIdSeen as `accept` does.
        """

    async def answered_again(self, conversation_id: UUID, request_id: UUID) -> Run | None:
        """Return what `answer_again` queued for a request id."""

    async def activate(self, conversation_id: UUID, owner_id: str, message_id: UUID) -> bool:
        """Make the branch through a message the active one; False when the owner's conversation has no such message."""

    async def get(self, conversation_id: UUID, run_id: UUID, owner_id: str) -> Run | None:
        """Return a run of the owner's conversation."""

    async def open_runs(self, conversation_id: UUID) -> list[UUID]:
        """Return the runs of a conversation that have not ended."""

    async def request_cancel(self, run_id: UUID) -> None:
        """Ask that a run be cancelled; one that is still queued ends at once."""

    async def claim(self, conversation_id: UUID, history_size: int) -> Claim | None:
        """Lease the conversation and take up its next run; None when it is leased or nothing waits."""

    async def rounds(self, run_id: UUID) -> list[Round]:
        """Return the rounds of calls that a run has gone through, in their order."""

    async def save_round(self, claim: Claim, one: Round) -> None:
        """Store a round of the claimed run, or how its calls stand by now, and lengthen the lease.

        Raises LeaseLost, CannotStore.
        """

    async def finish(
        self, claim: Claim, outcome: Outcome, message_id: UUID, history_size: int
    ) -> tuple[Run, Message | None, Claim | None]:
        """End the claimed run, and take up the next one or give the lease back.

        The open calls of a run that does not succeed are noted to be withdrawn.
        Returns the ended run, its assistant message if it has one, and the next claim if there is one.
        Raises LeaseLost when the lease is gone, CannotStore; nothing is then stored.
        """

    async def renew(self, conversation_id: UUID, fence: int) -> bool:
        """Lengthen the lease; False when it is gone."""

    async def release(self, conversation_id: UUID, fence: int) -> None:
        """Give the lease back with work undone, so that another worker may take it up at once."""

    async def nudge_stranded(self, limit: int) -> int:
        """Nudge the workers about conversations with waiting runs and no worker; return how many."""


class WithdrawalStore(Protocol):
    """Runs that have ended and whose open calls are to be withdrawn, inside one transaction."""

    async def owe(self, conversation_id: UUID) -> None:
        """Note that the open calls of all runs of a conversation are to be withdrawn."""

    async def due(self, limit: int) -> list[UUID]:
        """Take up runs whose calls are to be withdrawn by now; each is due again later, unless it is settled."""

    async def is_due(self, run_id: UUID) -> bool:
        """Take up one run; False when its calls are not to be withdrawn, or another process does."""

    async def note(self, run_id: UUID, changed: Iterable[Round], *, settled: bool) -> None:
        """Store those of a run's rounds whose calls have ended; `settled` says that no call of the run is left open."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction gives access to."""

    conversations: ConversationStore
    runs: RunStore
    withdrawals: WithdrawalStore


class Transactions(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction; it commits when the block ends and rolls back when it raises."""

    def autocommit(self) -> AbstractAsyncContextManager[Transaction]:
        """Make a transaction of each call: a read sees what is committed by then, a change stands at once."""

    def nudge_committed(self) -> None:
        """Say that a nudge has been committed, so that the relay of this process looks at once."""


class RunEvents(Protocol):
    """The numbered events of runs, kept for at least an hour after the last one."""

    async def append(self, run_id: UUID, fence: int, events: Sequence[RunEvent], after: int) -> int:
        """Number events above `after` and above all others of the run, store them and return the last one's number.

        Raises LeaseLost when a worker with a higher fence has written, or the run has its last event; CannotStore.
        """

    async def end(self, run_id: UUID, event: RunEvent, after: int = 0) -> int:
        """Store the last event unless there is one, with a number above `after`. Returns the last event's number."""

    def follow(self, run_id: UUID, after: int) -> AsyncIterator[RunEvent | None]:
        """Yield the events after `after` as they come, up to the last; None every few seconds of silence."""

    async def request_cancel(self, run_id: UUID) -> None:
        """Tell the worker on the run to stop."""

    async def wait_for_cancel(self, run_id: UUID) -> None:
        """Return once the run is to be cancelled."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a generation went; the last thing that a model yields."""

    metadata: Metadata


@dataclass(frozen=True, slots=True)
class TakenBack:
    """All that a model has said so far was thought, and is no part of its answer."""


class CannotStore(Exception):
    """What a model said cannot be stored, now or later: asking again would be paid for, and end the same."""


class ModelFailed(Exception):
    """The model gave no answer. `retryable` says whether asking again may help."""

    def __init__(self, reason: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a model may ask to be called."""

    tool_id: UUID
    name: str
    description: str
    arguments_schema: str


@dataclass(frozen=True, slots=True)
class Asking:
    """How a model is asked; what is empty is left to its settings."""

    model: str = ""
    max_output_tokens: int = 0
    temperature: float | None = None
    tools: tuple[Tool, ...] = ()
    tool_required: bool = False
    """Whether the model has to ask for a call of one of the tools."""


PLAIN = Asking()


class AnswerModel(Protocol):
    """A language model."""

    def generate(
        self, messages: Sequence[PromptMessage], seconds: float, asking: Asking = PLAIN
    ) -> AsyncIterator[str | TakenBack | ToolRequest | Summary]:
        """Yield the answer bit by bit, then the calls that it asks for, then a Summary.

        Raises ModelFailed; takes at most `seconds`.
        """


@dataclass(frozen=True, slots=True)
class Persona:
    """A bot as it answers now."""

    prompt: str
    asking: Asking
    tool_ids: tuple[UUID, ...]


class Bots(Protocol):
    """Who may answer instead of Parley's own assistant."""

    async def resolve(self, asker: Asker, *, strict: bool = False) -> Persona:
        """Return the bot of a conversation as it answers now; `strict` refuses values of unknown variables.

        Raises CannotAnswer, ModelFailed (when nobody can tell now).
        """


class Tools(Protocol):
    """What models may ask to be called."""

    async def describe(self, asker: Asker, tool_ids: Sequence[UUID]) -> list[Tool]:
        """Return those tools that there are for whoever asks. Raises ModelFailed when nobody can tell now."""

    async def request(self, claim: Claim, wanted: Sequence[ToolCall], depth: int) -> list[ToolCall]:
        """Have calls done beside each other and return how they stand; the same call id is never done twice.

        Raises ModelFailed when nobody can tell now.
        """

    async def wait(self, calls: Sequence[ToolCall], seconds: float) -> list[ToolCall]:
        """Return how calls stand once one has ended or was approved, or after some seconds. Unknown ones are left out.

        Raises ModelFailed when nobody can tell now.
        """

    async def withdraw(self, run_id: UUID, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """Withdraw the calls of a run that has ended and return which of `calls` ended so. What is being done goes on.

        May be repeated. Raises ModelFailed when nobody can be told now.
        """
