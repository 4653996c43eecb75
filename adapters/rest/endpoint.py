"""One binding of one RPC: what both kinds of calls share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from adapters.rest.answer_options import WITHOUT_BODY, AnswerOptions
from adapters.rest.asgi import Receive, Send, respond
from adapters.rest.binding import RequestBinder, ResponseShaper
from adapters.rest.descriptors import message_class
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


class Stubs:
    """The callables of a channel, one per RPC."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Take the channel to the upstream."""
        self._channel = channel
        self._made: dict[str, Any] = {}

    def of(self, method: MethodDescriptor) -> Any:
        """Return the callable of an RPC; one with a stream on either side takes an iterable of requests, or none."""
        path = f"/{method.containing_service.full_name}/{method.name}"
        if path not in self._made:
            channel = self._channel
            if method.server_streaming:
                # unary_stream would lose the upstream's headers when its answer comes at once: grpc.aio starts to
                # wait for them only after the request is out, and drops them when the status is there before.
                make: Any = channel.stream_stream
            else:
                make = channel.stream_unary if method.client_streaming else channel.unary_unary
            self._made[path] = make(
                path,
                request_serializer=message_class(method.input_type).SerializeToString,
                response_deserializer=message_class(method.output_type).FromString,
            )
        return self._made[path]


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
    route: Route, incoming: Incoming, response: Any, raw: Callable[[Any], Any] | None, metadata: Any, call: Any
) -> None:
    """Send the one answer of a call; `metadata` is what came before it.

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
    trailers = route.outgoing.trailers(await call.trailing_metadata()) if with_trailers else None
    await respond(incoming.send, status, headers, body, trailers)
