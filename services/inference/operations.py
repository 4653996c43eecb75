"""Asking a model, and telling how the models are."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from services.chassis import metrics
from services.chassis.errors import ServiceError
from services.inference.errors import ContextLengthExceeded, ModelNotFound
from services.inference.ports import PromptTooLong, ServedModel
from services.inference.rules import (
    Message,
    ModelStatus,
    Part,
    Prompt,
    Question,
    Summary,
    estimate,
    fit,
    input_budget,
    most_tokens,
    output_limit,
    tool_tokens,
)
from services.inference.rules.normalising import normalised
from services.inference.rules.results import with_short_calls, with_short_faults, with_short_results

# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics
_MODEL = ("gen_ai_provider_name", "gen_ai_request_model")
_DURATION = metrics.histogram(
    "gen_ai_client_operation_duration_seconds",
    "Answers of models, from the request to the end; error_type says why one broke off.",
    (*_MODEL, "error_type"),
    metrics.WORK_BUCKETS,
)
_FIRST = metrics.histogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "From the request to the first that a model says.",
    _MODEL,
    metrics.WORK_BUCKETS,
)
_TOKENS = metrics.histogram(
    "gen_ai_client_token_usage",
    "Tokens that models read (input) and wrote (output) for an answer.",
    (*_MODEL, "gen_ai_token_type"),
    [4**power for power in range(11)],  # as the conventions have it: up to a million
)
_MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds when the caller does not say: tokens to write at most, and the temperature (0 to 2)."""

    max_output_tokens: int
    temperature: float


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models that there are, and the id of the one that answers when none is named."""

    models: Mapping[str, ServedModel]
    default_id: str

    def find(self, model_id: str) -> ServedModel:
        """Return the model with this id, the default one for an empty id. Raises ModelNotFound."""
        model = self.models.get(model_id or self.default_id)
        if model is None:
            raise ModelNotFound(model=model_id)
        return model


async def generate(catalogue: Catalogue, defaults: Defaults, question: Question) -> AsyncGenerator[Part, None]:
    """Yield a model's answer in pieces, then the calls that it asks for, then the summary.

    Closing the generator stops the model.

    Raises:
        ModelNotFound: there is no such model.
        ContextLengthExceeded: the last message and the system messages do not fit the model's context.
        ModelUnavailable, ModelRefused, ContentFiltered: as in the port ChatModel.
    """
    model = catalogue.find(question.model_id)
    context_tokens = model.context_tokens
    for tried in range(_MOST_TRIES):
        prompt = await _prompt(model, context_tokens, defaults, question)
        try:
            async with aclosing(_answer(model, prompt)) as answer:
                async for part in answer:
                    yield part
            return
        except PromptTooLong as told:
            # The provider knows better what fits than our settings and estimates: it is given less.
            used = sum(map(estimate, prompt.messages)) + tool_tokens(prompt.tools)
            fits = told.context_tokens if told.context_tokens and not tried else used // 2 + prompt.max_output_tokens
            context_tokens = min(fits, context_tokens or fits)
    raise ContextLengthExceeded(tokens=used, limit=context_tokens)


async def _answer(model: ServedModel, prompt: Prompt) -> AsyncGenerator[Part, None]:
    async with (
        aclosing(model.chat.stream(prompt)) as parts,
        aclosing(_metered(model, parts)) as metered,
        aclosing(normalised(metered, model.model_id)) as answer,
    ):
        async for part in answer:
            yield part


async def _metered(model: ServedModel, parts: AsyncIterator[Part]) -> AsyncGenerator[Part, None]:
    labels = model.provider, model.model_id
    started, said, wrong = time.perf_counter(), False, ""
    try:
        async for part in parts:
            if isinstance(part, Summary):
                _TOKENS.labels(*labels, "input").observe(part.input_tokens)
                _TOKENS.labels(*labels, "output").observe(part.output_tokens)
            elif not said:
                said = True
                _FIRST.labels(*labels).observe(time.perf_counter() - started)
            yield part
    except (asyncio.CancelledError, GeneratorExit):
        wrong = "cancelled"
        raise
    except ServiceError as error:
        wrong = error.reason
        raise
    except Exception:
        wrong = "_OTHER"  # the conventions' own word
        raise
    finally:
        _DURATION.labels(*labels, wrong).observe(time.perf_counter() - started)


def list_statuses(catalogue: Catalogue) -> list[ModelStatus]:
    """Return how every model is, the default one first. Starts nothing."""
    statuses = [
        ModelStatus(
            model_id=model.model_id,
            provider=model.provider,
            condition=model.condition(),
            context_tokens=model.context_tokens,
            is_default=model.model_id == catalogue.default_id,
        )
        for model in catalogue.models.values()
    ]
    return sorted(statuses, key=lambda status: not status.is_default)


async def _prompt(model: ServedModel, context_tokens: int, defaults: Defaults, question: Question) -> Prompt:
    max_output = question.max_output_tokens or defaults.max_output_tokens
    temperature = defaults.temperature if question.temperature is None else question.temperature
    messages: Sequence[Message] = with_short_faults(question.messages)
    if context_tokens:
        tools = tool_tokens(question.tools)
        budget = input_budget(context_tokens, max_output) - tools
        used = most_tokens(messages)
        # Counting may cost a request; most conversations are short enough to do without.
        if used > budget:
            messages, used = await _fitting(model, messages, budget)
        max_output = output_limit(context_tokens, max_output, used + tools)
    required = question.tool_required and bool(question.tools)
    return Prompt(tuple(messages), max_output, temperature, question.tools, required)


async def _fitting(model: ServedModel, messages: Sequence[Message], budget: int) -> tuple[list[Message], int]:
    """Return the messages that fit, results of tools and calls shortened if need be, and their tokens."""
    counts = await model.counter.count(messages)
    # A shorter text may have more tokens a byte: the second time results are shortened, it is by nearly right counts.
    for shorten in (with_short_calls, with_short_results, with_short_results):
        short = messages if sum(counts) <= budget else shorten(messages, counts, budget)
        if list(short) != list(messages):
            messages, counts = short, await model.counter.count(short)
    kept = fit(messages, counts, budget)
    return [messages[index] for index in kept], sum(counts[index] for index in kept)
