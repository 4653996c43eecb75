"""What a conversation is and the decisions about it. Pure: times and ids come in as arguments."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from uuid import UUID, uuid5

from services.chassis.shortening import shortened
from services.conversations.errors import FieldNotUpdatable, MessageNotEditable

MAX_ATTEMPTS = 20
"""A run that was taken up this often and never ended is poison: it fails, so that the conversation goes on.

As often as RabbitMQ delivers: a healthy run may lose several workers while everything around it is killed.
"""
MAX_MODEL_TRIES = 3
"""How often the model is asked for one answer when it breaks off."""
MAX_UNREACHED_TRIES = 15
"""How often when nobody is there to ask: for about a minute, in which the services are started again."""
_UNREACHED = "UNAVAILABLE"
_TITLE_CHARACTERS = 60
_SHOWN_CHARACTERS = 1000
_MAX_ARGUMENTS_CHARACTERS = 100_000  # the service of tools takes no more
_MOST_TOKENS = 2**31 - 1  # what the contract's int32 holds


class RunState(Enum):
    """Where a run stands; the values are what is stored."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to the run any more."""
        return self not in (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class Context:
    """What the assistant should know about the user and the aim of a conversation."""

    topic: str = ""
    user_level: str = ""
    target_language: str = ""
    learning_goals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who answers: a bot, or whichever bot an application has by then; Parley's own assistant when neither is named."""

    bot_id: UUID | None = None
    application_id: UUID | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    """The values of the variables in the bot's prompt."""

    @property
    def is_assistant(self) -> bool:
        """Whether Parley's own assistant answers."""
        return self.bot_id is None and self.application_id is None


ASSISTANT = Answerer()


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread of messages between one user and the assistant."""

    conversation_id: UUID
    title: str
    context: Context
    message_count: int
    created_at: datetime
    updated_at: datetime
    private: bool = False
    """Whether what is said is encrypted wherever it rests."""
    active_message_id: UUID | None = None
    """The message that ends the active branch; the next one follows it."""
    answerer: Answerer = ASSISTANT


@dataclass(frozen=True, slots=True)
class Metadata:
    """How an assistant message came about. Token counts are 0 when the provider did not tell."""

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    finish_reason: str = ""
    tool_calls: int = 0
    """How many calls of tools came before the answer."""


class CallState(Enum):
    """Where a call of a tool stands; the values are what is stored."""

    STARTED = "started"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to the call any more."""
        return self not in (CallState.STARTED, CallState.WAITING_FOR_APPROVAL)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asked for, as it stands. `key` is the model's name for it.

    The arguments are JSON as the model wrote them. `tool_id` is None when it was offered no such tool; `result` is what
    it is told.
    """

    call_id: UUID
    key: str
    name: str
    arguments: str
    tool_id: UUID | None
    state: CallState = CallState.STARTED
    result: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """What a model said and asked for on the way to its answer. `depth` counts from 0."""

    depth: int
    text: str
    metadata: Metadata
    calls: tuple[ToolCall, ...]
    asked_at: datetime

    @property
    def has_ended(self) -> bool:
        """Whether the results of all calls are there."""
        return all(call.state.has_ended for call in self.calls)


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A call as the owner of a conversation sees it on the answer: long texts are cut. `round` counts from 1."""

    call_id: UUID
    name: str
    state: CallState
    arguments: str
    result: str
    truncated: bool
    round: int
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that was said. `sequence` counts from 1 within the conversation; `role` is user or assistant."""

    message_id: UUID
    conversation_id: UUID
    sequence: int
    role: str
    text: str
    run_id: UUID
    metadata: Metadata | None
    created_at: datetime
    parent_id: UUID | None = None
    """What it follows or answers. Messages make a tree: an edited question or another answer begins a branch."""
    tool_calls: tuple[ShownCall, ...] = ()
    """The calls of tools on the way to it, in their order."""


@dataclass(frozen=True, slots=True)
class Run:
    """The work of answering one user message. `ordinal` is that message's sequence: runs are answered in its order."""

    run_id: UUID
    conversation_id: UUID
    ordinal: int
    message_id: UUID
    state: RunState
    attempt: int = 0
    cancel_requested: bool = False
    output_message_id: UUID | None = None
    error_reason: str = ""
    error_message: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tool_required: bool = False
    """Whether the answer has to begin with a call of a tool."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its state, what was said (if anything) and why it failed (if it did)."""

    state: RunState
    text: str = ""
    metadata: Metadata = field(default_factory=Metadata)
    error_reason: str = ""
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One event of a run. `kind` is started, delta, restarted, tool, completed, failed or cancelled.

    `sequence` counts from 1 within the run and is set by the event store.
    """

    kind: str
    sequence: int = 0
    text: str = ""
    attempt: int = 0
    call: ToolCall | None = None
    """Who reads the event gets its id, name and state."""
    message: Message | None = None
    error_reason: str = ""
    error_message: str = ""

    @property
    def is_last(self) -> bool:
        """Whether no event follows."""
        return self.kind in ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A call that a model asks for; `key` is its name for it, the arguments are JSON as the model wrote them."""

    key: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a prompt; `role` is system, user, assistant, or tool for the result of a call."""

    role: str
    text: str
    requests: tuple[ToolRequest, ...] = ()
    answers: str = ""
    """The key of the request of which this is the result."""


def asked_for(run_id: UUID, depth: int, requests: Sequence[ToolRequest], offered: Mapping[str, UUID]) -> list[ToolCall]:
    """Return the calls that a model asks for in a round; one of a tool that it was not offered has failed already.

    Ids are made of the run and of what is asked for.
    """
    calls = []
    for index, one in enumerate(requests):
        call_id = uuid5(run_id, f"{depth}/{index}/{one.name}/{one.arguments}")
        call = ToolCall(call_id, one.key, one.name, one.arguments, offered.get(one.name))
        if call.tool_id is None:
            call = replace(call, state=CallState.FAILED, result=f"failed: there is no tool {one.name}")
        elif len(one.arguments) > _MAX_ARGUMENTS_CHARACTERS:
            told = f"failed: the arguments are longer than {_MAX_ARGUMENTS_CHARACTERS:,} characters"
            call = replace(call, state=CallState.FAILED, result=told)
        calls.append(call)
    return calls


def retold(one: Round) -> list[PromptMessage]:
    """Return what a model reads of a round: what it said and asked for, and what came of it."""
    requests = tuple(ToolRequest(call.key, call.name, call.arguments) for call in one.calls)
    results = [PromptMessage("tool", call.result, (), call.key) for call in one.calls]
    return [PromptMessage("assistant", one.text, requests), *results]


def shown(rounds: Iterable[Round]) -> tuple[ShownCall, ...]:
    """Return the calls of rounds as the owner of the conversation sees them."""
    return tuple(
        ShownCall(
            call.call_id,
            call.name,
            call.state,
            shortened(call.arguments, _SHOWN_CHARACTERS),
            shortened(call.result, _SHOWN_CHARACTERS),
            max(len(call.arguments), len(call.result)) > _SHOWN_CHARACTERS,
            one.depth + 1,
            one.asked_at,
        )
        for one in rounds
        for call in one.calls
    )


def together(total: Metadata, one: Metadata) -> Metadata:
    """Return how rounds together came about: the last one's words, the tokens and calls of all."""
    return replace(
        one,
        input_tokens=min(total.input_tokens + one.input_tokens, _MOST_TOKENS),
        output_tokens=min(total.output_tokens + one.output_tokens, _MOST_TOKENS),
        tool_calls=total.tool_calls + one.tool_calls,
    )


def question_of(message: Message) -> UUID:
    """Return the user message that a further answer to `message` answers: itself, or what it answers."""
    return message.message_id if message.role == "user" or message.parent_id is None else message.parent_id


def check_editable(message: Message) -> None:
    """Raise MessageNotEditable unless a user said the message."""
    if message.role != "user":
        raise MessageNotEditable(message_id=message.message_id)


def may_take_slot(held: int, free: int) -> bool:
    """Whether a tenant that holds `held` of a worker's slots may take another one while `free` are free.

    The dynamic threshold of Choudhury and Hahne (1998): alone a tenant has half of the slots at most, two have a third
    each, and some are always free for one who comes with a single message.
    """
    return free > 0 and held < free


def most_tries(reason: str) -> int:
    """Return how often the model is asked when it failed for `reason`; whoever was reached gives one of its own."""
    return MAX_UNREACHED_TRIES if reason == _UNREACHED else MAX_MODEL_TRIES


def title_of(text: str) -> str:
    """Return a title for a conversation that begins with `text`: its first line, cut at a word."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if len(line) <= _TITLE_CHARACTERS:
        return line
    cut = shortened(line, _TITLE_CHARACTERS)
    return (cut.rsplit(" ", 1)[0] or cut).rstrip() + "…"


def updated(conversation: Conversation, wanted: Conversation, paths: Iterable[str]) -> Conversation:
    """Return `conversation` with the fields that the mask `paths` names taken from `wanted`.

    An empty mask means every updatable field of `wanted` that is not empty (AIP-134).

    Raises:
        FieldNotUpdatable: a path names a field that does not exist or is the server's.
    """
    paths = list(paths) or _filled(wanted)
    context = conversation.context
    for path in paths:
        match path.split("."):
            case ["title"]:
                conversation = replace(conversation, title=wanted.title)
            case ["prompt_variables"]:
                answerer = replace(conversation.answerer, variables=wanted.answerer.variables)
                conversation = replace(conversation, answerer=answerer)
            case ["context"]:
                context = wanted.context
            case ["context", name] if name in Context.__dataclass_fields__:
                context = replace(context, **{name: getattr(wanted.context, name)})
            case _:
                raise FieldNotUpdatable(field=path)
    return replace(conversation, context=context)


def _filled(wanted: Conversation) -> list[str]:
    paths = ["title"] if wanted.title else []
    paths += ["prompt_variables"] if wanted.answerer.variables else []
    return paths + [f"context.{name}" for name in Context.__dataclass_fields__ if getattr(wanted.context, name)]


def prompt(system: str, context: Context, history: Sequence[PromptMessage]) -> list[PromptMessage]:
    """Return what the model reads: who it is, what it should know of the user, then what was said."""
    lines = [system]
    if context.topic:
        lines.append(f"The topic of this conversation is: {context.topic}.")
    if context.target_language:
        lines.append(f"The user practises the language {context.target_language}; answer in it.")
    if context.user_level:
        lines.append(f"The user's level is {context.user_level}; use words of that level.")
    if context.learning_goals:
        lines.append(f"The user's goals: {'; '.join(context.learning_goals)}.")
    return [PromptMessage("system", "\n".join(lines)), *history]


def last_event(run: Run, output: Message | None) -> RunEvent:
    """Return the event that ends the stream of a run that has ended. `output` is its assistant message, if any."""
    if run.state is RunState.SUCCEEDED:
        return RunEvent("completed", message=output)
    if run.state is RunState.CANCELLED:
        return RunEvent("cancelled", message=output)
    return RunEvent("failed", error_reason=run.error_reason, error_message=run.error_message)
