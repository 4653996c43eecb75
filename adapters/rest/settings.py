"""The settings of the REST adapter."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from adapters.rest.dialect import GRPC_GATEWAY, PARLEY, Dialect, Unescape

_SEPARATORS = {"csv": ",", "pipes": "|", "ssv": " ", "tsv": "\t"}


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
    """HOST:PORT on which the adapter listens; port 0 takes a free one, no host all addresses (IPv4 and IPv6)."""
    upstream: str = Field(
        default="127.0.0.1:8079", validation_alias=AliasChoices("PARLEY_REST_UPSTREAM", "PARLEY_MESH_TARGET")
    )
    """HOST:PORT or unix:PATH of the gRPC upstream: Envoy's mesh listener. PARLEY_MESH_TARGET when not set."""
    descriptor_set: Path = Field(default_factory=_packaged_descriptors)
    """The FileDescriptorSet to serve; Parley's own when not set."""
    http_rules: Path | None = None
    """A google.api.Service YAML file with more HTTP rules."""
    dialect: Literal["", "parley", "grpc-gateway"] = ""
    """Whose REST face to show; when not set, Parley's for its own descriptors and grpc-gateway's for others."""
    max_body_bytes: int = 10 * 1024 * 1024
    """The largest request body; a larger one answers 413."""
    default_timeout_seconds: float = 60.0
    """The deadline of a unary call that brings no Grpc-Timeout; 0 for none, as grpc-gateway has by default."""
    heartbeat_seconds: float = 15.0
    """How long a server-sent event stream may be silent before it sends a comment."""
    drain_seconds: int = 10
    """How long running requests and streams may go on after the signal to stop."""
    access_log: bool = False
    """Whether every request is logged; Envoy does it already."""
    proto_names: bool = False
    """Whether JSON uses the proto names of fields, not camelCase."""
    enum_numbers: bool = False
    """Whether JSON has the numbers of enum values, not their names."""
    emit_unpopulated: bool = True
    """Whether JSON has the fields that are not set."""
    unescape: Unescape = Unescape.LEGACY
    """How much percent-encoding is undone in a path: grpc-gateway's UnescapingMode."""
    method_override: bool = True
    """Whether X-HTTP-Method-Override of a form POST is obeyed."""
    form_fallback: bool = True
    """Whether a form POST may reach a GET rule."""
    allow_delete_body: bool = False
    """Whether a DELETE rule may have a body."""
    generate_unbound_methods: bool = False
    """Whether RPCs without a rule are served as POST /package.Service/Method."""
    repeated_separator: Literal["csv", "pipes", "ssv", "tsv"] = "csv"
    """What stands between the values of a repeated field in a path."""
    strict: bool = False
    """Whether unknown JSON fields and unknown query parameters are a 400."""
    real_405: bool = False
    """Whether a path that only other methods have answers 405 with Allow, not 501."""
    name: str = "Parley"
    """The name that the landing page and the docs show."""
    version: str = "0.1.0"
    """The version that the landing page and the docs show."""

    @property
    def is_parley(self) -> bool:
        """Whether the REST face is Parley's own."""
        return self.dialect == "parley" or (not self.dialect and "descriptor_set" not in self.model_fields_set)

    @property
    def unary_timeout(self) -> float | None:
        """The deadline of a unary call that brings none, or None; grpc-gateway has none unless it is told."""
        told = self.is_parley or "default_timeout_seconds" in self.model_fields_set
        return self.default_timeout_seconds or None if told else None

    def make_dialect(self) -> Dialect:
        """Return the dialect with what the settings change in it."""
        return replace(
            PARLEY if self.is_parley else GRPC_GATEWAY,
            proto_names=self.proto_names,
            enum_numbers=self.enum_numbers,
            emit_unpopulated=self.emit_unpopulated,
            unescape=self.unescape,
            method_override=self.method_override,
            form_fallback=self.form_fallback,
            allow_delete_body=self.allow_delete_body,
            generate_unbound_methods=self.generate_unbound_methods,
            repeated_separator=_SEPARATORS[self.repeated_separator],
            strict=self.strict,
            real_405=self.real_405,
        )
