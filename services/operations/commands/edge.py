"""Talks to the edge as an operator, and says in one line what went wrong."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from pydantic import ValidationError
from rich.console import Console

from services.operations.settings import ConsoleSettings

_SECONDS = 60.0
_PAGE = 1000


@dataclass(frozen=True)
class Edge:
    """The edge, and how answers are shown."""

    channel: grpc.Channel
    token: str
    as_json: bool
    console: Console

    def call(self, rpc: Callable[..., Any], request: Message) -> Any:
        """Call an RPC of a stub and return its answer. Raises grpc.RpcError."""
        return rpc(request, metadata=(("authorization", f"Bearer {self.token}"),), timeout=_SECONDS)

    def pages(self, rpc: Callable[..., Any], request: Any, field: str, limit: int) -> Iterator[Any]:
        """Yield the elements of a list, page by page, `limit` at most. Raises grpc.RpcError."""
        left = limit
        while left:
            request.page_size = min(left, _PAGE)
            page = self.call(rpc, request)
            found = getattr(page, field)
            yield from found
            left -= len(found)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def print_json(self, answer: Message | list[Message]) -> None:
        """Print an answer, or the elements of a list, as JSON."""
        value = [_plain(one) for one in answer] if isinstance(answer, list) else _plain(answer)
        self.console.file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _plain(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


def at_edge(command: str, options: argparse.Namespace, run: Callable[[Edge, argparse.Namespace], int]) -> int:
    """Run a command against the edge and return the exit code: 1, and one line, when the edge refuses or is away."""
    try:
        given = {name: value for name, value in (("edge_url", options.edge), ("token", options.token)) if value}
        settings = ConsoleSettings(**given)
    except ValidationError as error:
        return _fail(command, f"the edge must be given as http://HOST:PORT or https://HOST:PORT: {_first(error)}")
    token = settings.token.get_secret_value()
    if not token:
        return _fail(command, "no token: set PARLEY_TOKEN to the access token of an administrator or operator")
    console = Console(highlight=False, markup=False)
    with _channel(settings.edge_url) as channel:
        try:
            return run(Edge(channel, token, options.json, console), options)
        except grpc.RpcError as error:
            return _fail(command, _told(error, settings.edge_url))
        except UsageError as error:
            return _fail(command, str(error))
        except KeyboardInterrupt:
            return _fail(command, "interrupted")


class UsageError(Exception):
    """What was typed makes no sense."""


def _channel(url: str) -> grpc.Channel:
    scheme, _, place = url.rstrip("/").partition("://")
    if scheme == "https":
        return grpc.secure_channel(place if ":" in place else f"{place}:443", grpc.ssl_channel_credentials())
    return grpc.insecure_channel(place if ":" in place else f"{place}:80")


def _told(error: Any, url: str) -> str:
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        return f"the edge {url} cannot be reached or is not ready ({details.splitlines()[0] if details else code.name})"
    return f"{details or 'refused'} ({code.name})"


def _first(error: ValidationError) -> str:
    return str(error.errors()[0]["msg"])


def _fail(command: str, text: str) -> int:
    sys.stderr.write(f"parley {command}: {text}\n")
    return 1
