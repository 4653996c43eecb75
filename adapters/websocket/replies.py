"""Writes what clients get: replies and pushes of the Centrifuge client protocol as JSON, one a line."""

from typing import Any

import orjson

from adapters.websocket.codes import Disconnect, Refusal, Unsubscribe

PING = b"{}"


def reply(number: int, kind: str, result: dict[str, Any]) -> bytes:
    """Return the answer to a command."""
    return orjson.dumps({"id": number, kind: result})


def refusal(number: int, error: Refusal) -> bytes:
    """Return the answer to a command that failed."""
    content: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.temporary:
        content["temporary"] = True
    return orjson.dumps({"id": number, "error": content})


def publication(channel: str, data: Any, offset: int) -> bytes:
    """Return a publication in a channel."""
    return orjson.dumps({"push": {"channel": channel, "pub": {"data": data, "offset": offset}}})


def unsubscribed(channel: str, why: Unsubscribe) -> bytes:
    """Return the news that the server has ended a subscription."""
    return orjson.dumps({"push": {"channel": channel, "unsubscribe": {"code": why.code, "reason": why.reason}}})


def disconnected(why: Disconnect) -> bytes:
    """Return the news that the server is about to close the connection."""
    reconnect = not 3500 <= why.code < 4000
    content: dict[str, Any] = {"code": why.code, "reason": why.reason, "reconnect": reconnect}
    return orjson.dumps({"push": {"disconnect": content}})
