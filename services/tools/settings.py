"""The settings of this service."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ToolsSettings(BaseSettings):
    """How tools are called, and where they may lead."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_TOOLS_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    calls_at_once: int = Field(default=100, ge=1)
    """How many calls one worker does beside each other."""
    max_depth: int = Field(default=8, ge=1)
    """How many rounds of calls a model may ask for in one answer."""
    approval_seconds: float = Field(default=86_400.0, gt=0)
    """How long a call waits for a person to approve it; then it is denied."""
    calls_kept_days: int = Field(default=90, ge=1, le=3660)
    """For how many days calls that have ended are kept."""
    max_answer_bytes: int = Field(default=262_144, ge=1)
    """The most bytes that a tool may answer."""
    egress_ports: list[int] = [80, 443]
    """The ports that tools may reach, as JSON."""
    egress_exceptions: list[str] = []
    """Addresses inside of the house that tools may reach all the same, as JSON: `["127.0.0.1:9000"]`. Nothing else of a
    private network can be reached."""
    mcp_commands: dict[str, list[str]] = {}
    """MCP servers that run as a command (stdio), as JSON: name -> the command and its arguments. Everybody may use
    them."""
