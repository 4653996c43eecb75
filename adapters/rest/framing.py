"""How the messages of a stream are written: lines of JSON as grpc-gateway does, or server-sent events."""

from collections.abc import Callable
from typing import Any, Protocol

from parley.streaming.v1.streaming_pb2 import Resumption

from adapters.rest.binding import ResponseShaper
from adapters.rest.codec import dump_json, escaped
from adapters.rest.endpoint import JSON_TYPE
from adapters.rest.metadata import Headers
from adapters.rest.upstream import CallFailed, is_unreachable

SHUTTING_DOWN = "the server is shutting down"
_GOODBYE = {"code": 14, "message": SHUTTING_DOWN, "details": []}


class Framing(Protocol):
    """One way to write a stream."""

    empty_status: int
    """The HTTP status of a stream without messages."""

    def wraps_early(self, error: CallFailed) -> bool:
        """Return whether an error before the first message looks like one in the stream."""

    def headers(self, first: Any) -> Headers:
        """Return the headers of a stream that starts with the message, or that has none yet."""

    def message(self, message: Any) -> bytes:
        """Return a message as it goes out."""

    def error(self, content: dict[str, Any]) -> bytes:
        """Return a Status that ends the stream."""

    def ending(self) -> bytes:
        """Return what follows the last message or the error."""


class Lines:
    """`{"result":…}` or `{"error":…}`, one a line; HttpBody messages as they are."""

    empty_status = 200

    def __init__(self, shaper: ResponseShaper, raw: Callable[[Any], Any] | None) -> None:
        """Take which part of a message is sent, and where its HttpBody is."""
        self._to_json = shaper.to_json
        self._raw = raw

    def wraps_early(self, error: CallFailed) -> bool:
        """Return whether there was a stream: grpc-gateway wraps all of its errors, but not that of a lost upstream."""
        return not is_unreachable(error)

    def headers(self, first: Any) -> Headers:
        """Return the content type: JSON, or that of the first HttpBody."""
        if self._raw is None or first is None:
            return [JSON_TYPE]
        return [(b"content-type", self._raw(first).content_type.encode("latin-1", "replace"))]

    def message(self, message: Any) -> bytes:
        """Return one line."""
        if self._raw is not None:
            return bytes(self._raw(message).data) + b"\n"
        return escaped(dump_json({"result": self._to_json(message)})) + b"\n"

    def error(self, content: dict[str, Any]) -> bytes:
        """Return the last line."""
        return escaped(dump_json({"error": content})) + b"\n"

    def ending(self) -> bytes:
        """Return nothing: a line ends itself."""
        return b""


class Events:
    """Server-sent events: `id` is the message's number, `event` the kind of message, `data` its JSON."""

    empty_status = 204

    def __init__(self, shaper: ResponseShaper, resumption: Resumption | None) -> None:
        """Take which part of a message is sent, and which fields number and name it."""
        self._to_json = shaper.to_json
        self._sequence = resumption.sequence_field if resumption else ""
        self._oneof = resumption.event_oneof if resumption else ""

    def wraps_early(self, error: CallFailed) -> bool:  # noqa: ARG002 - the same for every error
        """Return that an EventSource gets an ordinary error answer."""
        return False

    def headers(self, first: Any) -> Headers:  # noqa: ARG002 - the same for every stream
        """Return the content type, and that nobody on the way may hold events back."""
        return [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]

    def message(self, message: Any) -> bytes:
        """Return one event."""
        head = ""
        if self._sequence:
            head = f"id: {getattr(message, self._sequence)}\n"
        if self._oneof and (kind := message.WhichOneof(self._oneof)):
            head += f"event: {kind}\n"
        return head.encode() + b"data: " + dump_json(self._to_json(message)) + b"\n\n"

    def error(self, content: dict[str, Any]) -> bytes:
        """Return the last event."""
        return b"event: error\ndata: " + dump_json(content) + b"\n\n"

    def ending(self) -> bytes:
        """Return nothing: an event ends itself."""
        return b""


def goodbye(framing: Framing) -> bytes:
    """Return what ends a stream when the adapter shuts down before the upstream has ended it.

    A reader of events comes back by itself; for any other, a cut stream would look like a whole one.
    """
    return b"" if isinstance(framing, Events) else framing.error(_GOODBYE) + framing.ending()
