"""The settings of the REST adapter."""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _packaged_descriptors() -> Path:
    import parley

    return Path(next(iter(parley.__path__))) / "descriptors.binpb"


class RestSettings(BaseSettings):
    """Where the adapter listens, what it serves and what it allows."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_REST_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    listen: str = "127.0.0.1:8090"
    """HOST:PORT on which the adapter listens; port 0 takes a free one."""
    upstream: str = Field(
        default="127.0.0.1:8079", validation_alias=AliasChoices("PARLEY_REST_UPSTREAM", "PARLEY_MESH_TARGET")
    )
    """HOST:PORT of the gRPC upstream: Envoy's mesh listener. PARLEY_MESH_TARGET when not set."""
    descriptor_set: Path = Field(default_factory=_packaged_descriptors)
    """The FileDescriptorSet to serve; Parley's own when not set."""
    max_body_bytes: int = 10 * 1024 * 1024
    """The largest request body; a larger one answers 413."""
    default_timeout_seconds: float = 60.0
    """The deadline of a unary call that brings no Grpc-Timeout."""
    heartbeat_seconds: float = 15.0
    """How long a server-sent event stream may be silent before it sends a comment."""
    drain_seconds: int = 10
    """How long running requests and streams may go on after the signal to stop."""
    access_log: bool = False
    """Whether every request is logged; Envoy does it already."""
    name: str = "Parley"
    """The name that the landing page and the docs show."""
    version: str = "0.1.0"
    """The version that the landing page and the docs show."""
