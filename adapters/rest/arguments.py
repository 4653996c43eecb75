"""The command line of `parley rest`. A flag goes before the setting of the same name."""

import argparse

_TEXTS = {
    "listen": ("HOST:PORT", "where to listen; an empty host or [::] means all addresses, IPv4 and IPv6"),
    "upstream": ("HOST:PORT|unix:PATH", "the gRPC upstream"),
    "descriptor-set": ("FILE", "the FileDescriptorSet to serve; Parley's own when not given"),
    "http-rules": ("FILE", "google.api.Service YAML with more HTTP rules"),
    "dialect": ("NAME", "parley or grpc-gateway; grpc-gateway when a descriptor set is given"),
    "unescape": ("MODE", "legacy, all-except-reserved, all-except-slash or all-characters"),
    "repeated-separator": ("csv|pipes|ssv|tsv", "between the values of a repeated field in a path"),
    "max-body-bytes": ("N", "the largest request body, and the largest message of an upload stream"),
    "max-url-bytes": ("N", "the longest path with its query"),
    "max-header-bytes": ("N", "how long the headers of a request may be together"),
    "max-upload-bytes": ("N", "the largest raw, multipart or compressed body of an upload stream, decoded"),
    "incoming-headers": ("NAMES", "headers that go to the upstream under their own names: x-tenant,x-b3-*"),
    "outgoing-headers": ("NAMES", "metadata that becomes headers without Grpc-Metadata-"),
    "outgoing-trailers": ("NAMES", "metadata that becomes trailers without Grpc-Trailer-"),
    "health-path": ("PATH", "the path of the health page, /healthz; none when empty"),
    "default-timeout-seconds": ("S", "the deadline of unary calls without Grpc-Timeout; 0 for none"),
}
_SWITCHES = {
    "proto-names": "JSON with the proto names of fields",
    "enum-numbers": "JSON with the numbers of enum values",
    "emit-unpopulated": "JSON with the fields that are not set (on)",
    "method-override": "obey X-HTTP-Method-Override of form POSTs (on)",
    "form-fallback": "let form POSTs reach GET rules (on)",
    "allow-delete-body": "accept DELETE rules with a body",
    "generate-unbound-methods": "serve RPCs without a rule as POST /package.Service/Method",
    "strict": "400 for unknown JSON fields and unknown query parameters",
    "discard-unknown": "ignore unknown JSON fields (on)",
    "emit-default-values": "JSON with zeros and empty lists, but no nulls, without --emit-unpopulated",
    "allow-patch-feature": "make the update mask of a PATCH of its body (on)",
    "warn-on-unbound-methods": "log the RPCs that have no HTTP rule",
    "rate-limit-headers": "metadata about rate limits as plain headers, RetryInfo as Retry-After",
    "http-codes": "let the metadata x-http-code set the status of an answer that succeeds",
    "raw-uploads": "take bodies that are no JSON into the HttpBody or bytes field of the rule",
    "compress": "compress answers as Accept-Encoding asks, decode compressed bodies",
    "real-405": "405 with Allow, not 501, when only other methods have the path",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags; one that is not given leaves no trace among the parsed options."""
    for name, (metavar, text) in _TEXTS.items():
        parser.add_argument(f"--{name}", metavar=metavar, help=text, default=argparse.SUPPRESS)
    for name, text in _SWITCHES.items():
        parser.add_argument(f"--{name}", help=text, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS)


def given(options: argparse.Namespace) -> dict[str, str | bool]:
    """Return the settings that were given as flags."""
    names = {name.replace("-", "_") for name in (*_TEXTS, *_SWITCHES)}
    return {name: value for name, value in vars(options).items() if name in names}
