"""What may stand in a request that a stranger describes: its URL and its headers."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

# What every parser of URLs reads alike: no user, no white space, no backslash, hosts in ASCII.
_URL = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?([/?#][^\s\\\x00-\x20\x7f-\x9f\ud800-\udfff]*)?",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~]*")
MOST_PORT = 65535

OURS = frozenset(
    {
        # What frames, routes or keeps up a request (RFC 9110, 7.6.1; RFC 9112; RFC 9113), by whatever version of HTTP.
        *("connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "max-forwards"),
        *("proxy-authenticate", "proxy-authorization", "proxy-authentication-info", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "via", "forwarded"),
        # What servers behind a proxy believe.
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-server"),
        *(
            "x-http-method",
            "x-http-method-override",
            "x-method-override",
            "x-original-url",
            "x-rewrite-url",
            "x-real-ip",
        ),
        # What Parley itself says with a call.
        *("accept-encoding", "content-encoding", "idempotency-key", "user-agent"),
        # Those of the protocols of tools.
        *("grpc-accept-encoding", "grpc-encoding", "grpc-message", "grpc-message-type", "grpc-status", "grpc-timeout"),
        *("last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id"),
    }
)
"""The headers that no tool sets."""


def split_url(url: str) -> SplitResult:
    """Return the parts of an absolute http or https URL. Raises ValueError, saying what is wrong with it."""
    if not _URL.fullmatch(url):
        raise ValueError(
            "must be an http or https URL without blanks and without a user, its host a name in ASCII "
            "(xn--… for others) or an address"
        )
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise ValueError("has a host or a port that cannot be") from None
    if not split.hostname or port == 0:
        raise ValueError("has a host or a port that cannot be")
    return split


def header_wrong(name: str, value: str) -> str:
    """Return what is wrong with a header, or nothing; never the value, which may be a secret."""
    if not _TOKEN.fullmatch(name):
        return f"{name[:100]!a} is no name of a header"
    if name.lower() in OURS:
        return f"the header {name} is not a tool's to set"
    if not _VALUE.fullmatch(value) or value != value.strip(" \t"):
        return f"the value of the header {name} must be printable ASCII, without blanks around it"
    return ""


def repeated_header(names: Iterable[str]) -> str:
    """Return a header that is there twice, in whatever letters, or nothing."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return ""
