"""What a prompt is, and which messages of it fit a model."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from services.chassis.strict_json import JsonRefused, read_json
from services.inference.errors import ContextLengthExceeded

SYSTEM = "system"
USER = "user"
TOOL = "tool"

MESSAGE_OVERHEAD_TOKENS = 8
"""What a chat template adds around one message; ChatML adds 5."""
TEMPLATE_OVERHEAD_TOKENS = 48
"""What a chat template adds once: the opening of the answer, and a system message of its own when there is none."""
_BYTES_PER_TOKEN = 3
MAX_CALLS = 64
"""How many calls a model may ask for at once; the contract takes no more."""
MAX_ARGUMENTS_CHARACTERS = 100_000
"""How long the arguments of a call may be; the service of tools takes no longer ones."""


class ModelState(Enum):
    """How a model is; the names are those of the proto."""

    AVAILABLE = "AVAILABLE"
    LOADING = "LOADING"
    READY = "READY"
    FAILED = "FAILED"
    NOT_FETCHED = "NOT_FETCHED"


@dataclass(frozen=True, slots=True)
class Condition:
    """How a model is, and why in words."""

    state: ModelState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model as ModelService shows it. `context_tokens` is 0 when it is not known."""

    model_id: str
    provider: str
    condition: Condition
    context_tokens: int
    is_default: bool


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a model may ask to be called; the schema is a JSON Schema in JSON."""

    name: str
    description: str
    arguments_schema: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for; the arguments are JSON as the model wrote them."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What a model has said so far in an answer was thought, and is no part of it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt; `role` is `system`, `user`, `assistant`, or `tool` for the result of a call."""

    role: str
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller asks for. `max_output_tokens` 0 and `temperature` None mean the setting."""

    messages: tuple[Message, ...]
    model_id: str = ""
    max_output_tokens: int = 0
    temperature: float | None = None
    tools: tuple[Tool, ...] = ()
    tool_required: bool = False
    """Whether the model has to ask for a call of one of the tools."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is given: messages that fit it, and how to answer them."""

    messages: tuple[Message, ...]
    max_output_tokens: int
    temperature: float
    tools: tuple[Tool, ...] = ()
    tool_required: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """How a generation went.

    `finish_reason` is `stop`, `length`, `tool_calls`, `content_filter`, `other`, or `unknown` when nothing was told.
    """

    model_id: str
    finish_reason: str
    input_tokens: int
    output_tokens: int


Part = str | TakenBack | ToolCall | Summary
"""What an answer comes in: texts, then calls, then the summary."""


def is_object(text: str) -> bool:
    """Whether a text is a JSON object as tools read it."""
    try:
        return isinstance(read_json(text), dict)
    except JsonRefused:
        return False


def estimate(message: Message) -> int:
    """Return about how many tokens a message takes, rather too many than too few.

    A third of its UTF-8 bytes is above what current tokenizers need for European languages and Vietnamese.
    """
    return -(-_bytes(message) // _BYTES_PER_TOKEN) + MESSAGE_OVERHEAD_TOKENS


def most_tokens(messages: Iterable[Message]) -> int:
    """Return how many tokens messages take at most, whatever their text: no tokenizer makes more tokens than bytes."""
    return sum(_bytes(message) + MESSAGE_OVERHEAD_TOKENS for message in messages)


def _bytes(message: Message) -> int:
    calls = sum(len(call.name) + len(call.arguments.encode()) for call in message.tool_calls)
    return len(message.text.encode()) + calls


def tool_tokens(tools: Iterable[Tool]) -> int:
    """Return about how many tokens the descriptions of tools take, rather too many than too few."""
    texts = (f"{tool.name}{tool.description}{tool.arguments_schema}" for tool in tools)
    return sum(-(-len(text.encode()) // _BYTES_PER_TOKEN) + MESSAGE_OVERHEAD_TOKENS for text in texts)


def input_budget(context_tokens: int, max_output_tokens: int) -> int:
    """Return how many tokens the messages may take: what the answer and the template leave of the context.

    A quarter of the context at most is kept for the answer.
    """
    return context_tokens - min(max_output_tokens, context_tokens // 4) - TEMPLATE_OVERHEAD_TOKENS


def output_limit(context_tokens: int, max_output_tokens: int, input_tokens: int) -> int:
    """Return how many tokens the answer may take, so that providers do not refuse the request as too long."""
    return max(1, min(max_output_tokens, context_tokens - TEMPLATE_OVERHEAD_TOKENS - input_tokens))


def fit(messages: Sequence[Message], counts: Sequence[int], budget: int) -> list[int]:
    """Return the indexes of the messages to keep, in order, so that their `counts` sum up to at most `budget`.

    System messages and the last message always stay, and with the result of a tool all that was said since the user's
    last message, because models take no result without its call; of the others the oldest go first. When some went, the
    conversation that is left begins with a user's message, because models are trained on no other beginning.

    Raises:
        ContextLengthExceeded: what always stays is more than `budget` by itself.
    """
    last = len(messages) - 1
    if messages[last].role == TOOL:
        last = max((index for index, message in enumerate(messages) if message.role == USER), default=0)
    droppable = [index for index, message in enumerate(messages) if message.role != SYSTEM and index < last]
    excess = sum(counts) - budget
    if excess <= 0:
        return list(range(len(messages)))
    sizes = [counts[index] for index in droppable]
    if excess > sum(sizes):
        raise ContextLengthExceeded(tokens=sum(counts) - sum(sizes), limit=max(budget, 0))
    first = _first_kept(sizes, excess, budget)
    while first < len(droppable) and messages[droppable[first]].role != USER:
        first += 1
    dropped = set(droppable[:first])
    return [index for index in range(len(messages)) if index not in dropped]


def _first_kept(sizes: Sequence[int], excess: int, budget: int) -> int:
    """Return how many of the oldest messages to drop so that at least `excess` tokens go.

    More go than must: a whole number of hops. So the beginning of the prompt stays the same for several turns, and a
    model that remembers the beginnings it has read reads only what is new. When the hop would cost more than half of
    the history that fits, as with few very long messages, only what must goes.
    """
    hop = max(1, budget // 4)
    sums = list(accumulate(sizes))
    least = bisect_left(sums, excess) + 1
    wanted = bisect_left(sums, -(-excess // hop) * hop) + 1
    kept = sums[-1] - sums[least - 1]
    return wanted if wanted <= len(sizes) and (sums[-1] - sums[wanted - 1]) * 2 >= kept else least
