"""The settings of the REST adapter."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from adapters.rest.dialect import GRPC_GATEWAY, PARLEY, Dialect, Unescape
from adapters.rest.header_names import parse_names

Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_names)]

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
    mesh_certificates: Path | None = Field(
        default=None, validation_alias=AliasChoices("PARLEY_REST_MESH_CERTIFICATES", "PARLEY_MESH_CERTIFICATES")
    )
    """The folder with the adapter's certificate, for mTLS to the upstream. PARLEY_MESH_CERTIFICATES when not set."""
    descriptor_set: Path = Field(default_factory=_packaged_descriptors)
    """The FileDescriptorSet to serve; Parley's own when not set."""
    http_rules: Path | None = None
    """A google.api.Service YAML file with more HTTP rules."""
    dialect: Literal["", "parley", "grpc-gateway"] = ""
    """Whose REST face to show; when not set, Parley's for its own descriptors and grpc-gateway's for others."""
    max_body_bytes: int = 10 * 1024 * 1024
    """The largest request body; a larger one answers 413."""
    max_url_bytes: int = Field(default=64 * 1024, ge=1024)
    """The longest path with its query; a longer one answers 414."""
    max_header_bytes: int = Field(default=64 * 1024, ge=1024)
    """How long the names and values of a request's headers may be together; longer ones answer 431."""
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
    discard_unknown: bool = True
    """Whether unknown JSON fields are ignored, as they are unless `strict` is set."""
    emit_default_values: bool = False
    """Whether JSON has zeros and empty lists, but no nulls, when `emit_unpopulated` is off."""
    allow_patch_feature: bool = True
    """Whether the body of a PATCH makes the update mask that the request leaves empty."""
    warn_on_unbound_methods: bool = False
    """Whether the log names the RPCs that have no HTTP rule."""
    incoming_headers: Names = ()
    """Headers that go to the upstream as metadata of the same name: x-tenant,x-b3-*."""
    outgoing_headers: Names = ()
    """Metadata that becomes headers of the same name, without the prefix Grpc-Metadata-."""
    outgoing_trailers: Names = ()
    """Metadata that becomes trailers of the same name, without the prefix Grpc-Trailer-."""
    rate_limit_headers: bool | None = None
    """Whether metadata about rate limits becomes plain headers and RetryInfo Retry-After; on in the dialect parley."""
    http_codes: bool = False
    """Whether the metadata x-http-code sets the status of an answer that succeeds."""
    raw_uploads: bool | None = None
    """Whether a body that is no JSON fills the HttpBody or bytes field of the rule; on in the dialect parley."""
    max_upload_bytes: int = 1024 * 1024 * 1024
    """The largest raw, multipart or compressed body of an upload stream, decoded; a larger one answers 413."""
    compress: bool = False
    """Whether answers are compressed as Accept-Encoding asks, and compressed bodies are decoded."""
    health_path: str = Field(default="/healthz", pattern="^(/.*)?$")
    """The path of grpc-gateway's health page; none when empty."""
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
        base = PARLEY if self.is_parley else GRPC_GATEWAY
        rate_limits, uploads = self.rate_limit_headers, self.raw_uploads
        return replace(
            base,
            discard_unknown=self.discard_unknown,
            emit_default_values=self.emit_default_values,
            allow_patch_feature=self.allow_patch_feature,
            incoming_headers=self.incoming_headers,
            outgoing_headers=self.outgoing_headers,
            outgoing_trailers=self.outgoing_trailers,
            rate_limit_headers=base.rate_limit_headers if rate_limits is None else rate_limits,
            http_codes=self.http_codes,
            raw_uploads=base.raw_uploads if uploads is None else uploads,
            decodes_bodies=self.compress,
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
