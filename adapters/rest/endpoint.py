"""One binding of one RPC: what both kinds of calls share."""

from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from adapters.rest.answer_options import WITHOUT_BODY, AnswerOptions
from adapters.rest.asgi import Connection, Receive, Send, respond
from adapters.rest.binding import RequestBinder, ResponseShaper
from adapters.rest.errors import ErrorWriter
from adapters.rest.metadata import Caller, Headers
from adapters.rest.outgoing import Outgoing
from adapters.rest.raw_target import HTTP_BODY

JSON_TYPE = (b"content-type", b"application/json")


class Incoming(NamedTuple):
    """A request that found its endpoint, its body read unless the RPC takes a stream."""

    values: tuple[str, ...]
    query: bytes
    body: bytes
    form: bytes
    caller: Caller
    receive: Receive
    send: Send
    connection: Connection | None
    """What tells that the client leaves, when the server can."""
    with_trailers: bool
    """Whether the client wants HTTP trailers and the server can send them."""


class Route(NamedTuple):
    """What a binding compiles to."""

    method: MethodDescriptor
    binder: RequestBinder
    shaper: ResponseShaper
    errors: ErrorWriter
    outgoing: Outgoing
    answer: AnswerOptions


def own_headers(caller: Caller) -> Headers:
    """Return the headers that every answer has."""
    return [(b"x-request-id", caller.request_id.encode())] if caller.request_id else []


def raw_body(method: MethodDescriptor, shaper: ResponseShaper) -> Callable[[Any], Any] | None:
    """Return what finds the google.api.HttpBody in a response that is sent as it is, or None when it is JSON."""
    field: FieldDescriptor | None = shaper.field
    if field is None:
        return (lambda message: message) if method.output_type.full_name == HTTP_BODY else None
    if field.is_repeated or field.message_type is None or field.message_type.full_name != HTTP_BODY:
        return None
    return lambda message: getattr(message, field.name)


def content_of(message: Any, raw: Callable[[Any], Any] | None, shaper: ResponseShaper) -> tuple[Headers, bytes]:
    """Return the content type and the bytes of a response."""
    if raw is None:
        return [JSON_TYPE], shaper.dump(message)
    body = raw(message)
    content_type = body.content_type or "application/octet-stream"
    return [(b"content-type", content_type.encode("latin-1", "replace"))], body.data


async def send_answer(
    route: Route, incoming: Incoming, response: Any, raw: Callable[[Any], Any] | None, metadata: Any, after: Any
) -> None:
    """Send the one answer of a call; `metadata` is what came before it, and `after` what came after it.

    Raises:
        Failure: the upstream wants a status that does not exist.
    """
    headers, body = content_of(response, raw, route.shaper)
    status = route.outgoing.status(metadata, route.answer.status)
    bodiless = status in WITHOUT_BODY
    if bodiless:
        headers, body = [], b""
    headers += [*route.outgoing.headers(metadata), *route.answer.marks, *own_headers(incoming.caller)]
    with_trailers = incoming.with_trailers and not bodiless
    trailers = route.outgoing.trailers(after) if with_trailers else None
    await respond(incoming.send, status, headers, body, trailers)
