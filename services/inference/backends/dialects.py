"""Which parameters a model takes: told by settings, or learnt from what refuses them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from services.inference.backends.provider_errors import Refusal

MAX_TOKENS = "max_tokens"
MAX_COMPLETION_TOKENS = "max_completion_tokens"
_OTHER = {MAX_TOKENS: MAX_COMPLETION_TOKENS, MAX_COMPLETION_TOKENS: MAX_TOKENS}
# An answer without them is still an answer to the question. Without messages, model or tools it would be another one.
_DISPENSABLE = frozenset({MAX_TOKENS, MAX_COMPLETION_TOKENS, "temperature", "stream_options", "stream", "tool_choice"})
MOST_LESSONS = len(_DISPENSABLE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a model is asked: what is left out, what the limit of the output is called, and its highest value or 0."""

    omitted: frozenset[str] = frozenset()
    limit_name: str = MAX_TOKENS
    most_output: int = 0

    def spoken(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request, which has `max_tokens`, as the model takes it."""
        spoken = {**request}
        limit = spoken.pop(MAX_TOKENS)
        spoken[self.limit_name] = min(limit, self.most_output) if self.most_output else limit
        spoken = {name: value for name, value in spoken.items() if name not in self.omitted}
        if "stream" not in spoken:
            spoken.pop("stream_options", None)
        return spoken

    def taught(self, refusal: Refusal, sent: Mapping[str, Any], refused: frozenset[str]) -> "Dialect | None":
        """Return the dialect after a refusal of what was sent; None when it teaches nothing.

        `refused` are the parameters that the model has refused before.
        """
        name = next((one for one in refusal.parameters if one in sent), None)
        if name not in _DISPENSABLE:
            return None
        if name in _OTHER:
            if refusal.most and refusal.most < sent[name] and _OTHER[name] not in refusal.text:
                return replace(self, most_output=refusal.most)
            if _OTHER[name] not in refused:
                return replace(self, limit_name=_OTHER[name])
        return replace(self, omitted=self.omitted | {name})
