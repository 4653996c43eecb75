"""Any model behind the OpenAI chat completions API."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.chassis import logs
from services.inference.backends.openai_connection import OpenAIConnection
from services.inference.backends.written_calls import described, forced, written_calls
from services.inference.errors import InferenceError, ModelRefused, ModelUnavailable
from services.inference.rules import Message, Prompt, Summary, ToolCall

if TYPE_CHECKING:
    from openai import APIError
    from openai.types.chat import ChatCompletionChunk

_log = logs.get(__name__)
_WORTH_TRYING_AGAIN = frozenset({408, 409, 425, 429})
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds an answer may take to begin, and how many it may pause."""

    first_token_seconds: float
    idle_seconds: float


class OpenAIChatModel:
    """Asks `provider_name` over a connection; `model_id` is what we call the model.

    `by_grammar`: the provider cannot make a model ask for a call, but makes it write by a schema (llama.cpp's server).
    """

    def __init__(
        self,
        model_id: str,
        provider_name: str,
        connection: OpenAIConnection,
        patience: Patience,
        *,
        by_grammar: bool = False,
    ) -> None:
        self._model_id = model_id
        self._provider_name = provider_name
        self._connection = connection
        self._patience = patience
        self._by_grammar = by_grammar

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | ToolCall | Summary, None]:
        """See the port ChatModel. The SDK tries again by itself only before the answer begins."""
        client = await self._connection.client()
        import openai

        written = self._by_grammar and prompt.tool_required
        try:
            async with aclosing(self._chunks(client, prompt)) as chunks:
                parts = _parts(chunks, self._model_id)
                async for part in written_calls(parts) if written else parts:
                    yield part
        except openai.APIError as error:
            raise self._failure(error) from None
        except TimeoutError:
            raise ModelUnavailable(model=self._model_id, cause="it took too long") from None
        except ValueError:
            raise ModelUnavailable(model=self._model_id, cause="its answer cannot be read") from None

    async def _chunks(self, client: Any, prompt: Prompt) -> AsyncGenerator["ChatCompletionChunk", None]:
        async with asyncio.timeout(self._patience.first_token_seconds):
            stream = await self._begin(client, prompt)
        try:
            seconds = self._patience.first_token_seconds
            iterator = aiter(stream)
            while True:
                try:
                    async with asyncio.timeout(seconds):
                        chunk = await anext(iterator)
                except StopAsyncIteration:
                    return
                yield chunk
                seconds = self._patience.idle_seconds
        finally:
            # Closing the connection is how an OpenAI-compatible server learns that nobody listens any more.
            await stream.close()

    async def _begin(self, client: Any, prompt: Prompt) -> Any:
        """Send the prompt; once more when the key was refused and there is a new one."""
        import openai

        request: dict[str, Any] = {
            "model": self._provider_name,
            "messages": [_written(message) for message in prompt.messages],
            "max_tokens": prompt.max_output_tokens,
            "temperature": prompt.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if prompt.tool_required and self._by_grammar:
            request |= forced(prompt.tools, request["messages"])
        elif prompt.tools:
            request["tools"] = [{"type": "function", "function": described(tool)} for tool in prompt.tools]
            if prompt.tool_required:
                request["tool_choice"] = "required"
        try:
            return await client.chat.completions.create(**request)
        except openai.AuthenticationError:
            renewed: Any = await self._connection.client_after_refusal()
            if renewed is None:
                raise
            return await renewed.chat.completions.create(**request)

    def _failure(self, error: "APIError") -> InferenceError:
        import openai

        # Texts of providers may quote keys and prompts: neither the caller nor the log gets them.
        status = error.status_code if isinstance(error, openai.APIStatusError) else 0
        _log.warning("model failed", model=self._model_id, error=type(error).__name__, status=status)
        if status and status < _SERVER_ERROR and status not in _WORTH_TRYING_AGAIN:
            return ModelRefused(model=self._model_id, status=status)
        return ModelUnavailable(model=self._model_id, cause=_cause(error, status))


async def _parts(
    chunks: AsyncIterator["ChatCompletionChunk"], model_id: str
) -> AsyncIterator[str | ToolCall | Summary]:
    finish_reason = ""
    usage = (0, 0)
    # A call comes in pieces, told apart by their index: its id and name first, then its arguments bit by bit.
    calls: dict[int, ToolCall] = {}
    async for chunk in chunks:
        if chunk.usage is not None:
            usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices[:1]:
            finish_reason = choice.finish_reason or finish_reason
            if choice.delta.content:
                yield choice.delta.content
            for piece in choice.delta.tool_calls or ():
                before = calls.get(piece.index, ToolCall("", "", ""))
                function = piece.function
                calls[piece.index] = ToolCall(
                    piece.id or before.call_id,
                    (function and function.name) or before.name,
                    before.arguments + ((function and function.arguments) or ""),
                )
    if not finish_reason:
        raise ModelUnavailable(model=model_id, cause="it broke off in the middle of its answer")
    for index in sorted(calls):
        yield calls[index]
    ended = "tool_calls" if calls else "stop"
    yield Summary(model_id, "length" if finish_reason == "length" else ended, *usage)


def _written(message: Message) -> dict[str, Any]:
    """Return a message as the API wants it."""
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_call_id:
        written["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        written["tool_calls"] = [
            {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return written


def _cause(error: "APIError", status: int) -> str:
    import openai

    if isinstance(error, openai.APITimeoutError):
        return "it cannot be reached in time"
    if isinstance(error, openai.APIConnectionError):
        return "the connection failed"
    return f"it answered with status {status}" if status else "it broke off in the middle of its answer"
