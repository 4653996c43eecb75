"""What the operations need of the world."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.inference.rules import Condition, Message, Part, Prompt


class PromptTooLong(Exception):
    """A provider says that a prompt does not fit its model; `context_tokens` is how many do, 0 when it does not say."""

    def __init__(self, context_tokens: int) -> None:
        super().__init__("the prompt does not fit the model")
        self.context_tokens = context_tokens


class ChatModel(Protocol):
    """A model that answers prompts."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[Part, None]:
        """Yield the answer in pieces, none of them empty, then the calls that the model asks for, then the summary.

        Closing the generator stops the generation at once.

        Raises:
            ModelUnavailable: the model could not be reached, was too slow or broke off.
            ModelRefused, ContentFiltered: asking again does not help.
            PromptTooLong: a shorter prompt may help.
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
