"""The settings of this service."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class BotsSettings(BaseSettings):
    """How bots are kept at hand."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_BOTS_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    cache_seconds: float = Field(default=60.0, ge=0)
    """How long a bot and its prompt stay in Valkey after they were read; 0 reads PostgreSQL each time."""
