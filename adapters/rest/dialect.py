"""How strict and how talkative the gateway is: grpc-gateway's options, and where Parley's own REST face differs."""

from dataclasses import dataclass
from enum import StrEnum


class Unescape(StrEnum):
    """How much of the percent-encoding of a path is undone in a `**` variable (grpc-gateway's UnescapingMode)."""

    LEGACY = "legacy"
    ALL_EXCEPT_RESERVED = "all-except-reserved"
    ALL_EXCEPT_SLASH = "all-except-slash"
    ALL_CHARACTERS = "all-characters"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The choices of one gateway. The defaults of what grpc-gateway can be told are grpc-gateway's."""

    unknown_enum_names_fail: bool = False
    """Whether a JSON enum name that does not exist is a 400."""
    violations_in_details: bool = False
    """Whether a 400 made here carries google.rpc.BadRequest."""
    go_texts: bool = True
    """Whether errors read as those of Go's libraries do; otherwise they name the field in plain words."""
    traces: bool = False
    """Whether a request gets an X-Request-Id and a traceparent; a client's traceparent and tracestate go on."""
    fills_from_empty_bodies: bool = True
    """Whether an empty body sets the field that it is for, and `{}` makes the mask `[""]` of a PATCH."""
    proto_names: bool = False
    """Whether JSON uses the proto names of fields."""
    enum_numbers: bool = False
    """Whether JSON has the numbers of enum values."""
    emit_unpopulated: bool = True
    """Whether JSON has fields that are not set."""
    unescape: Unescape = Unescape.LEGACY
    method_override: bool = True
    """Whether X-HTTP-Method-Override of a form POST is obeyed."""
    form_fallback: bool = True
    """Whether a form POST may reach a GET rule, for queries that are too long for a URL."""
    allow_delete_body: bool = False
    generate_unbound_methods: bool = False
    """Whether RPCs without a rule get `POST /package.Service/Method` with body `*`."""
    repeated_separator: str = ","
    """What stands between the values of a repeated field in a path."""
    strict: bool = False
    """Whether unknown JSON fields and unknown query parameters are a 400."""
    idempotency_keys: bool = False
    """Whether Idempotency-Key fills the string field `request_id` of a unary request that leaves it empty."""
    real_405: bool = False
    """Whether a path that only other methods have answers 405 with Allow, and not 501."""
    discard_unknown: bool = True
    """Whether unknown JSON fields and enum names are ignored; `strict` wants them known as well."""
    emit_default_values: bool = False
    """Whether JSON has zeros, empty lists and empty maps although `emit_unpopulated` is off; unset messages are not."""
    allow_patch_feature: bool = True
    """Whether the body of a PATCH makes the update mask that the request leaves empty."""
    incoming_headers: tuple[str, ...] = ()
    """Headers that go to the upstream under their own names, beside those that grpc-gateway passes on."""
    outgoing_headers: tuple[str, ...] = ()
    """Metadata that becomes headers without the prefix Grpc-Metadata-."""
    outgoing_trailers: tuple[str, ...] = ()
    """Metadata that becomes trailers without the prefix Grpc-Trailer-."""
    rate_limit_headers: bool = False
    """Whether metadata about rate limits becomes plain headers, and RetryInfo becomes Retry-After."""
    http_codes: bool = False
    """Whether the metadata `x-http-code` sets the status of an answer that succeeds."""
    raw_uploads: bool = False
    """Whether a body that is no JSON is the content of the HttpBody or bytes field that the rule names."""
    decodes_bodies: bool = False
    """Whether bodies with a Content-Encoding are decoded, and unknown codings refused."""


PARLEY = Dialect(
    unknown_enum_names_fail=True,
    violations_in_details=True,
    go_texts=False,
    traces=True,
    fills_from_empty_bodies=False,
    idempotency_keys=True,
    rate_limit_headers=True,
    raw_uploads=True,
)
GRPC_GATEWAY = Dialect()
