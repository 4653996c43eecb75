"""The settings of this capability."""

import os
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _threads() -> int:
    return max(1, (os.cpu_count() or 2) - 1)


class InferenceSettings(BaseSettings):
    """Which model answers, and how."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_INFERENCE_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    provider: Literal["local", "openai", "scripted"] = "local"
    """Who answers by default: a model on this machine, an OpenAI-compatible provider, or a script (for tests)."""
    model: str = ""
    """The id of the local model that answers; when empty, the best one whose weights are here."""
    max_output_tokens: int = Field(default=512, ge=1)
    """The most tokens of an answer when the caller does not say."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """How freely words are chosen when the caller does not say, 0 to 2."""
    first_token_seconds: float = Field(default=120.0, gt=0)
    """How long a model may take until its answer begins, waiting for its turn included."""
    idle_seconds: float = Field(default=30.0, gt=0)
    """How long a model may pause within its answer."""
    openai_base_url: str = "https://api.openai.com/v1"
    """Where the OpenAI-compatible provider is."""
    openai_api_key: SecretStr = SecretStr("")
    """The key for the OpenAI-compatible provider; with PARLEY_SECRETS=vault it is `inference/openai-api-key` there."""
    openai_model: str = "gpt-4o-mini"
    """The provider's name of the model."""
    openai_context_tokens: int = Field(default=32768, ge=0)
    """How many tokens one request to the provider may hold, its answer included; 0 leaves trimming to the provider."""
    openai_omit: str = ""
    """Parameters that are not sent to the provider, such as `temperature, stream_options`; others are learnt."""
    openai_max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the provider calls the most tokens of an answer; the other name is tried when it refuses this one."""
    show_thoughts: str = ""
    """Ids of models whose thoughts (`<think>`, `reasoning_content`) are part of the answer; `*` for all."""
    scripted_delay_ms: float = Field(default=0, ge=0)
    """Milliseconds between the words of a scripted answer."""
    local_context_tokens: int = Field(default=4096, ge=512)
    """How many tokens one request to a local model may hold, its answer included; a model may know fewer."""
    local_parallel: int = Field(default=2, ge=1)
    """How many requests a local model answers at once; further ones wait. Each takes memory for a whole context."""
    local_threads: int = Field(default_factory=_threads, ge=1)
    """Threads of a local model. More than the free cores makes it slower; the default leaves one core free."""
    local_start_seconds: float = Field(default=60.0, gt=0)
    """How long a local model may take to load."""

    def shows_thoughts(self, model_id: str) -> bool:
        """Whether what the model `model_id` thinks is part of its answers."""
        return not {model_id, "*"}.isdisjoint(self.show_thoughts.replace(",", " ").split())
