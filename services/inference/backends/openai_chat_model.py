"""Any model behind the OpenAI chat completions API, and whatever calls itself so."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.chassis import logs
from services.inference.backends.answer_reader import AnswerReader, ProviderFailed
from services.inference.backends.answer_stream import events_of
from services.inference.backends.dialects import MOST_LESSONS, Dialect
from services.inference.backends.openai_connection import OpenAIConnection
from services.inference.backends.provider_errors import read_refusal, status_of
from services.inference.backends.written_calls import described, forced, written_calls
from services.inference.errors import ContentFiltered, InferenceError, ModelRefused, ModelUnavailable
from services.inference.ports import PromptTooLong
from services.inference.rules import Message, Part, Prompt
from services.inference.rules.turns import in_turns

if TYPE_CHECKING:
    from openai import APIError

_log = logs.get(__name__)
_WORTH_TRYING_AGAIN = frozenset({408, 409, 425, 429})
_TEACHING = frozenset({400, 422})
_TOO_LONG = frozenset({400, 413, 422})
_SERVER_ERROR = 500
_AFTER_THE_END_SECONDS = 5.0
_BROKE_OFF = "it broke off in the middle of its answer"


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds an answer may take to begin, and how many it may pause."""

    first_token_seconds: float
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is asked, and what is shown of its answer.

    `by_grammar`: the provider cannot make a model ask for a call, but makes it write by a schema (llama.cpp's server).
    """

    by_grammar: bool = False
    shows_thoughts: bool = False
    dialect: Dialect = field(default_factory=Dialect)


class OpenAIChatModel:
    """Asks `provider_name` over a connection; `model_id` is what we call the model.

    What the model refuses of a request is left out from then on.
    """

    def __init__(
        self,
        model_id: str,
        provider_name: str,
        connection: OpenAIConnection,
        patience: Patience,
        manner: Manner = Manner(),
    ) -> None:
        self._model_id = model_id
        self._provider_name = provider_name
        self._connection = connection
        self._patience = patience
        self._manner = manner
        self._dialect = manner.dialect

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Part, None]:
        """See the port ChatModel."""
        client = await self._connection.client()
        import httpx2
        import openai

        written = self._manner.by_grammar and prompt.tool_required
        try:
            async with aclosing(self._parts(client, prompt)) as parts:
                async for part in written_calls(parts) if written else parts:
                    yield part
        except openai.APIError as error:
            raise self._failure(error) from None
        except ProviderFailed as failed:
            raise self._refused(failed.error, status_of(failed.error)) from None
        except httpx2.HTTPError:
            raise ModelUnavailable(model=self._model_id, cause=_BROKE_OFF) from None
        except TimeoutError:
            raise ModelUnavailable(model=self._model_id, cause="it took too long") from None
        except (ValueError, RecursionError):
            raise ModelUnavailable(model=self._model_id, cause="its answer cannot be read") from None

    async def _parts(self, client: Any, prompt: Prompt) -> AsyncGenerator[Part, None]:
        import httpx2

        async with asyncio.timeout(self._patience.first_token_seconds):
            response = await self._begin(client, prompt)
        reader = AnswerReader(self._model_id, prompt.tools, shows_thoughts=self._manner.shows_thoughts)
        idle = self._patience.idle_seconds

        def pause() -> float:
            return min(idle, _AFTER_THE_END_SECONDS) if reader.is_whole else idle

        try:
            async with aclosing(events_of(response, self._patience.first_token_seconds, pause)) as events:
                async for event in events:
                    for said in reader.read(event):
                        yield said
        except (ProviderFailed, httpx2.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            if not reader.is_whole:
                raise
            _log.info("a provider failed after its answer", model=self._model_id, error=type(error).__name__)
        finally:
            # Closing the connection is how an OpenAI-compatible server learns that nobody listens any more.
            await response.close()
        if reader.broke_off:
            raise ModelUnavailable(model=self._model_id, cause=_BROKE_OFF)
        for part in reader.end():
            yield part

    async def _begin(self, client: Any, prompt: Prompt) -> Any:
        """Send the prompt, again without what the model refuses, or with a new key when the one of before was refused.

        What the model refuses is remembered once it has taken a request without it.
        """
        import openai

        request, dialect, refused = self._request(prompt), self._dialect, frozenset[str]()
        while True:
            sent = dialect.spoken(request)
            try:
                response = await self._sent(client, sent)
            except openai.APIStatusError as error:
                if error.status_code not in _TEACHING or len(refused) >= MOST_LESSONS:
                    raise
                refusal = read_refusal(error.body)
                learnt = None if refusal.is_too_long else dialect.taught(refusal, sent, refused)
                if learnt is None:
                    raise
                refused |= {name for name in refusal.parameters if name in sent}
                dialect = learnt
                continue
            if dialect != self._dialect:
                self._dialect = dialect
                _log.info("learnt how a model is asked", model=self._model_id, without=sorted(refused))
            return response

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._provider_name,
            "messages": [written(message) for message in in_turns(prompt.messages)],
            "max_tokens": prompt.max_output_tokens,
            "temperature": prompt.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if prompt.tool_required and self._manner.by_grammar:
            request |= forced(prompt.tools, request["messages"])
        elif prompt.tools:
            request["tools"] = [{"type": "function", "function": described(tool)} for tool in prompt.tools]
            if prompt.tool_required:
                request["tool_choice"] = "required"
        return request

    async def _sent(self, client: Any, request: dict[str, Any]) -> Any:
        import openai

        try:
            return await _streamed(client, request)
        except openai.AuthenticationError:
            renewed: Any = await self._connection.client_after_refusal()
            if renewed is None:
                raise
            return await _streamed(renewed, request)

    def _failure(self, error: "APIError") -> Exception:
        import openai

        # Texts of providers may quote keys and prompts: neither the caller nor the log gets them.
        status = error.status_code if isinstance(error, openai.APIStatusError) else 0
        _log.warning("model failed", model=self._model_id, error=type(error).__name__, status=status)
        if status:
            return self._refused(error.body, status)
        return ModelUnavailable(model=self._model_id, cause=_cause(error))

    def _refused(self, body: object, status: int) -> InferenceError | PromptTooLong:
        """Return what a refusal, or an error within an answer (status 0 when it has none), comes to."""
        refusal = read_refusal(body)
        if refusal.is_filtered and status < _SERVER_ERROR:
            return ContentFiltered(model=self._model_id)
        if refusal.is_too_long and (status in _TOO_LONG or not status):
            return PromptTooLong(refusal.context_tokens)
        if status and status < _SERVER_ERROR and status not in _WORTH_TRYING_AGAIN:
            return ModelRefused(model=self._model_id, status=status)
        return ModelUnavailable(
            model=self._model_id, cause=f"it answered with status {status}" if status else _BROKE_OFF
        )


async def _streamed(client: Any, request: dict[str, Any]) -> Any:
    """Return the response as it comes: what the SDK would make of it trusts its types."""
    return await client.chat.completions.with_streaming_response.create(**request).__aenter__()


def written(message: Message) -> dict[str, Any]:
    """Return a message as the API wants it."""
    written: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_call_id:
        written["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        written["content"] = (message.text.strip() and message.text) or None
        written["tool_calls"] = [
            {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return written


def _cause(error: "APIError") -> str:
    import openai

    if isinstance(error, openai.APITimeoutError):
        return "it cannot be reached in time"
    if isinstance(error, openai.APIConnectionError):
        return "the connection failed"
    return _BROKE_OFF
