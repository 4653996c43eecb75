"""The settings of this service."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class ConversationsSettings(BaseSettings):
    """How conversations are answered."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_CONVERSATIONS_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    system_prompt: str = (
        "You are Parley, a friendly assistant. Answer helpfully and briefly, in the language of the user."
    )
    """What the model is told before every conversation."""
    answer_seconds: float = 300.0
    """How long a model may take for one answer."""
    answers_at_once: int = 200
    """How many conversations one worker answers beside each other; half of them at most for one tenant."""
    history_size: int = 100
    """How many of the last messages the model is given, as far as its context holds them."""
    tool_rounds: int = 5
    """How many rounds of tool calls an answer may take; at most PARLEY_TOOLS_MAX_DEPTH."""
    tool_seconds: float = 600.0
    """How long an answer waits for a round of tool calls, a person's approval included."""
    chat_wait_seconds: float = 55.0
    """How long POST /api/v1/ai/chat waits for the answer; less than the adapter's deadline, so that it can say more."""
