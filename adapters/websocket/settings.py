"""The settings of the WebSocket adapter."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _packaged_descriptors() -> Path:
    import parley

    return Path(next(iter(parley.__path__))) / "descriptors.binpb"


class WebSocketSettings(BaseSettings):
    """Where the adapter listens, whom it lets in and how long it waits for them."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_WEBSOCKET_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    listen: str = "127.0.0.1:8091"
    """HOST:PORT on which the adapter listens; port 0 takes a free one."""
    upstream: str = Field(
        default="127.0.0.1:8079", validation_alias=AliasChoices("PARLEY_WEBSOCKET_UPSTREAM", "PARLEY_MESH_TARGET")
    )
    """HOST:PORT of the gRPC upstream: Envoy's mesh listener. PARLEY_MESH_TARGET when not set."""
    mesh_certificates: Path | None = Field(
        default=None, validation_alias=AliasChoices("PARLEY_WEBSOCKET_MESH_CERTIFICATES", "PARLEY_MESH_CERTIFICATES")
    )
    """The folder with the adapter's certificate, for mTLS to the upstream. PARLEY_MESH_CERTIFICATES when not set."""
    descriptor_set: Path = Field(default_factory=_packaged_descriptors)
    """The FileDescriptorSet whose RPCs may be called; Parley's own when not set."""
    environment: Literal["development", "production"] = Field(
        default="development", validation_alias=AliasChoices("PARLEY_WEBSOCKET_ENVIRONMENT", "PARLEY_ENVIRONMENT")
    )
    """`development` lets pages of any local port connect. PARLEY_ENVIRONMENT when not set."""
    origins: str = Field(default="", validation_alias=AliasChoices("PARLEY_WEBSOCKET_ORIGINS", "PARLEY_CORS_ORIGINS"))
    """Origins whose pages may connect, separated by commas; `:*` at the end means any port. PARLEY_CORS_ORIGINS when
    not set."""
    ping_seconds: int = Field(default=25, ge=1)
    """How often the server pings."""
    pong_seconds: float = 8
    """How long a client may take to answer a ping."""
    connect_seconds: float = 10
    """How long a new socket may take to send a token that is good."""
    expired_seconds: float = 25
    """How long a connection outlives its token, for the client to refresh it."""
    slow_seconds: float = 1
    """How long a full queue may make no progress before its client is taken for too slow."""
    call_seconds: float = 60
    """The deadline of an RPC that a client calls."""
    max_frame_bytes: int = 4 * 1024 * 1024 + 64 * 1024
    """The largest frame from a client that has shown a token, room for the largest request of the contract with every
    character escaped; a larger one closes the connection with 1009. Before the token it is 64 KiB."""
    max_queue_messages: int = 256
    """How many messages may wait for a client."""
    max_queue_bytes: int = 1024 * 1024
    """How many bytes may wait for a client; one message alone may be larger."""
    max_subscriptions: int = 128
    """How many channels a connection may be subscribed to at once."""
    max_sockets_per_address: int = 1000
    """How many sockets may be open from one address of a client; one more is closed with 3504."""
    max_calls: int = 64
    """How many RPCs of a connection may be under way at once."""
    drain_seconds: float = 10
    """How long the connections may take to leave after the signal to stop."""
