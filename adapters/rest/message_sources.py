"""Makes the messages of an upload from its body as it comes: JSON values, or pieces of a body that is no JSON."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from google.protobuf.message import Message

from adapters.rest.asgi import too_large
from adapters.rest.binding import RequestBinder
from adapters.rest.codec import JsonInvalid
from adapters.rest.endpoint import Incoming
from adapters.rest.failures import invalid_field
from adapters.rest.form_messages import FormMessages
from adapters.rest.json_splitter import JsonSplitter
from adapters.rest.raw_target import MULTIPART, is_raw, media_type

PIECE_BYTES = 64 * 1024
"""The most bytes of a raw body that one message carries."""


class UploadLimits(NamedTuple):
    """How much an upload may bring."""

    message_bytes: int
    """The longest JSON value."""
    total_bytes: int
    """The longest raw or multipart body."""


class MessageSource(Protocol):
    """Turns a body into messages; both methods raise a Failure for what does not fit."""

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Yield the messages that are whole now."""

    def finish(self) -> Iterator[Message]:
        """Yield what only the end of the body makes whole."""


def source_of(incoming: Incoming, binder: RequestBinder, limits: UploadLimits) -> MessageSource:
    """Return what reads the body of an upload stream.

    Raises:
        Failure: the path, the query or the content type does not fit, or the body says that it is too large.
    """
    caller = incoming.caller
    if binder.raw is None or not is_raw(caller.content_type):
        return JsonMessages(binder, incoming.values, limits.message_bytes)
    if caller.content_length > limits.total_bytes:
        raise too_large(limits.total_bytes)
    if media_type(caller.content_type) == MULTIPART:
        form = FormMessages(binder, incoming.values, incoming.query, caller.content_type)
        return Limited(Cut(form), limits.total_bytes)
    return Limited(Cut(RawMessages(binder, incoming)), limits.total_bytes)


def request_of(incoming: Incoming, binder: RequestBinder) -> Message:
    """Return the one request of a call whose body has been read.

    Raises:
        Failure: INVALID_ARGUMENT that names what does not fit.
    """
    caller = incoming.caller
    if binder.raw is None or not incoming.body or not is_raw(caller.content_type):
        return binder.bind(incoming.values, incoming.query, incoming.body, incoming.form)
    if media_type(caller.content_type) == MULTIPART:
        form = FormMessages(binder, incoming.values, incoming.query, caller.content_type, whole=True)
        list(form.feed(incoming.body))
        return next(form.finish())
    return next(RawMessages(binder, incoming).feed(incoming.body))


class JsonMessages:
    """A value is a message. What the path gives goes over the first one."""

    def __init__(self, binder: RequestBinder, values: tuple[str, ...], message_bytes: int) -> None:
        """Take what reads the values, and how long one may be."""
        self._binder = binder
        self._values = values
        self._splitter = JsonSplitter(message_bytes)

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Yield a message for each value that is whole."""
        return map(self._read, self._splitter.feed(chunk))

    def finish(self) -> Iterator[Message]:
        """Yield the message of a value that only the end of the body ends."""
        try:
            yield from map(self._read, self._splitter.finish())
        except JsonInvalid as error:
            raise invalid_field("", str(error), go=error.go) from None

    def _read(self, value: bytes) -> Message:
        message = self._binder.read_message(value)
        if self._values:
            self._binder.put_path(message, self._values)
            self._values = ()
        return message


class RawMessages:
    """A chunk is a message. The first one also has the content type and what the path and the query give."""

    def __init__(self, binder: RequestBinder, incoming: Incoming) -> None:
        """Read the path and the query."""
        self._binder = binder
        self._first: Message | None = binder.bind_raw(incoming.values, incoming.query, {}, incoming.caller.content_type)

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Yield a message with the chunk."""
        if chunk:
            message, self._first = self._first or self._binder.empty(), None
            yield self._binder.with_bytes(message, chunk)

    def finish(self) -> Iterator[Message]:
        """Yield the first message when the body was empty."""
        if self._first is not None:
            yield self._first


class Cut:
    """Feeds another source in pieces, so that no message is large."""

    def __init__(self, source: MessageSource) -> None:
        """Take the other source."""
        self._source = source
        self.finish = source.finish

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Yield the messages of the pieces."""
        for start in range(0, len(chunk), PIECE_BYTES):
            yield from self._source.feed(chunk[start : start + PIECE_BYTES])


class Limited:
    """Refuses a body that is too long (HTTP 413)."""

    def __init__(self, source: MessageSource, total_bytes: int) -> None:
        """Take the source that the bytes are for."""
        self._source = source
        self._total_bytes = total_bytes
        self._size = 0
        self.finish = source.finish

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Yield the messages of a chunk."""
        self._size += len(chunk)
        if self._size > self._total_bytes:
            raise too_large(self._total_bytes)
        return self._source.feed(chunk)
