"""Where secrets may be sent, and for whom."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.chassis.errors import InvalidFields
from services.tools.rules import GrpcSource, HttpSource, McpSource, Source, without_arguments
from services.tools.rules.requests import MOST_PORT, split_url

_TLS_PORT = 443


@dataclass(frozen=True, slots=True)
class ToolSecret:
    """Where an owner's secret may be sent, and in whose calls. The least `organization_role` is 0 for none."""

    name: str
    hosts: tuple[str, ...]
    methods: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    organization_role: int = 0
    revision: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a source leads: what a secret is held against. `method` is empty where only the host counts."""

    host: str
    port: int
    method: str


def destination_of(source: Source) -> Destination | None:
    """Return where a source leads, or None for a command, which gets no secret. The source was checked before.

    An MCP source without a tool stands for asking the server what it has.
    """
    match source:
        case HttpSource():
            return _of_url(without_arguments(source.url), source.method)
        case GrpcSource():
            host, _, port = source.target.rpartition(":")
            return Destination(host.strip("[]").lower().rstrip("."), int(port), source.method)
        case McpSource(command=""):
            return _of_url(source.url, source.tool)
        case McpSource():
            return None


def _of_url(url: str, method: str) -> Destination:
    split = split_url(url)
    port = split.port or (_TLS_PORT if split.scheme == "https" else 80)
    return Destination((split.hostname or "").rstrip("."), port, method)


def refused(secret: ToolSecret | None, to: Destination) -> str:
    """Return why a secret may not be sent somewhere, or nothing when it may."""
    if secret is None:
        return "nothing says where it may be sent: see PutToolSecret"
    if not any(_matches(host, to) for host in secret.hosts):
        return f"it may not be sent to {to.host} port {to.port}"
    if secret.methods and to.method and to.method not in secret.methods:
        return f"it may not be sent for {to.method}"
    return ""


def refused_to(secret: ToolSecret, user_id: str) -> bool:
    """Whether a secret may not be used in the calls of a user, whatever the user's role."""
    return bool(secret.user_ids) and user_id not in secret.user_ids


def check_secret(secret: ToolSecret) -> None:
    """Raise InvalidFields when it cannot be stored."""
    wrong = [] if secret.hosts else [("secret.hosts", "is required")]
    for index, host in enumerate(secret.hosts):
        try:
            name, port = _parsed(host)
        except ValueError:
            wrong.append((f"secret.hosts[{index}]", "must be a host, with a port or without"))
            continue
        if not 0 < port <= MOST_PORT:
            wrong.append((f"secret.hosts[{index}]", "must have a port from 1 to 65535"))
        if name.startswith("*.") and name.rpartition(".")[2].isdigit():
            wrong.append((f"secret.hosts[{index}]", "must not stand for addresses"))
        elif name.startswith("*.") and "." not in name[2:]:
            wrong.append((f"secret.hosts[{index}]", "must not stand for all names below a top-level domain"))
    wrong += _empty(secret.methods, "secret.methods") + _empty(secret.user_ids, "secret.user_ids")
    if wrong:
        raise InvalidFields(wrong)


def _empty(texts: Iterable[str], field: str) -> list[tuple[str, str]]:
    return [(f"{field}[{index}]", "must not be empty") for index, text in enumerate(texts) if not text]


def _matches(pattern: str, to: Destination) -> bool:
    host, port = _parsed(pattern)
    if port != to.port:
        return False
    return to.host.endswith(host[1:]) and to.host != host[2:] if host.startswith("*.") else to.host == host


def _parsed(pattern: str) -> tuple[str, int]:
    if pattern.startswith("*."):
        host, port = _parsed(pattern[2:])
        return f"*.{host}", port
    split = split_url(f"https://{pattern}/")
    return (split.hostname or "").rstrip("."), split.port or _TLS_PORT
