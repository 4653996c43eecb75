"""The settings of this service, and of the commands that use it."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class OperationsSettings(BaseSettings):
    """What the desk may do and how long it remembers."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_OPERATIONS_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    targets: str = "incoming"
    """The jobs that schedules may start, with commas: QUEUE:ACTOR, or QUEUE for the actor that is called like it."""
    queues: str = "incoming,outgoing,function_call,user_paid,notify_user,log_event"
    """Queues of RabbitMQ whose dead letters are archived beside those of the queues that workers have declared."""
    fires_kept_days: int = Field(default=90, ge=1, le=3660)
    """For how many days the fires of a schedule are listed."""


class ConsoleSettings(BaseSettings):
    """Where `parley dead-letters` and `parley schedules` find the edge, and as whom they ask."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    edge_url: str = Field(default="http://127.0.0.1:8080", pattern=r"^https?://[^/\s]+/?$")
    """The edge that the commands of operators talk to over gRPC."""
    token: SecretStr = SecretStr("")
    """The access token of an administrator or operator, for the commands of operators."""
