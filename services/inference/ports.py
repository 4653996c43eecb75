"""What the operations need of the world."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.inference.rules import Condition, Message, Prompt, Summary, ToolCall


class ChatModel(Protocol):
    """A model that answers prompts."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[str | ToolCall | Summary, None]:
        """Yield the answer in pieces, none of them empty, then the calls that the model asks for, then the summary.

        Closing the generator stops the generation at once.

        Raises:
            ModelUnavailable: the model could not be reached, was too slow or broke off.
            ModelRefused: asking again does not help.
        """


class TokenCounter(Protocol):
    """Knows how long messages are for a model."""

    async def count(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of each message, what the template adds around it included.

        Raises:
            ModelUnavailable: the model is needed for counting and could not be reached.
        """


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that can be asked by its id. `context_tokens` 0 means that nothing is trimmed.

    `condition` is cheap, and never starts the model.
    """

    model_id: str
    provider: str
    context_tokens: int
    chat: ChatModel
    counter: TokenCounter
    condition: Callable[[], Condition]
