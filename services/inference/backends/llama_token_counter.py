"""Counts tokens with the tokenizer of the local model."""

from collections.abc import Sequence

from services.inference.backends.openai_connection import OpenAIConnection
from services.inference.errors import ModelUnavailable
from services.inference.rules import MESSAGE_OVERHEAD_TOKENS, Message

_SEPARATOR = -1
"""No token has this number; llama.cpp hands numbers among the texts through as they are."""


class LlamaTokenCounter:
    """Asks `/tokenize` of llama.cpp's server once for all messages."""

    def __init__(self, model_id: str, connection: OpenAIConnection) -> None:
        self._model_id = model_id
        self._connection = connection

    async def count(self, messages: Sequence[Message]) -> list[int]:
        """See the port TokenCounter."""
        client = await self._connection.client()
        import openai

        content: list[str | int] = []
        for message in messages:
            content += [message.text, _SEPARATOR]
        url = str(client.base_url.copy_with(path="/tokenize"))
        try:
            answer = await client.post(
                url, cast_to=object, body={"content": content, "add_special": False, "parse_special": False}
            )
        except openai.APIError:
            raise ModelUnavailable(model=self._model_id, cause="its tokenizer does not answer") from None
        return _lengths(answer)


def _lengths(answer: object) -> list[int]:
    tokens = answer["tokens"] if isinstance(answer, dict) else []
    counts = []
    length = MESSAGE_OVERHEAD_TOKENS
    for token in tokens:
        if token == _SEPARATOR:
            counts.append(length)
            length = MESSAGE_OVERHEAD_TOKENS
        else:
            length += 1
    return counts
