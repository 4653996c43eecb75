"""Streams of answers: each message goes out as it comes, as lines of JSON or as server-sent events."""

import asyncio
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor

from adapters.rest.annotations import resumption
from adapters.rest.array_framing import Array, wants_array
from adapters.rest.asgi import ClientGone, DisconnectWatch, Send, respond_chunked
from adapters.rest.binding import BindingInvalid
from adapters.rest.endpoint import JSON_TYPE, Incoming, Route, own_headers, raw_body
from adapters.rest.errors import ErrorAnswer
from adapters.rest.failures import Failure, invalid_field
from adapters.rest.framing import SHUTTING_DOWN, Events, Framing, Lines, goodbye
from adapters.rest.heartbeat import Heartbeat
from adapters.rest.message_sources import JsonMessages, UploadLimits, request_of, source_of
from adapters.rest.open_streams import OpenStreams
from adapters.rest.query import parse_query
from adapters.rest.scalars import integer_range
from adapters.rest.uploading import Upload
from adapters.rest.upstream import EOF, CallFailed, StreamCall, Upstream

_WWW = b"www-authenticate"  # only errors outside of streams have it
_EVENT_STREAM = "text/event-stream"
# An upstream that refuses does so at once. After this the headers go out, so that a browser knows it is connected.
_FIRST_MESSAGE_SECONDS = 1.0


class StreamEndpoint:
    """Answers the requests of one binding of a server-streaming or bidirectional RPC."""

    def __init__(self, route: Route, heartbeat_seconds: float, open_streams: OpenStreams, limits: UploadLimits) -> None:
        """Take the compiled binding and how often an idle event stream shows that it lives, and the list to be on.

        `limits` are those of an upload's body.

        Raises:
            BindingInvalid: the RPC's resumption names a field that does not exist or is no integer.
        """
        self.binder = route.binder
        self.streams_in = route.method.client_streaming
        self.marks = route.answer.marks
        self._route = route
        self._heartbeat_seconds = heartbeat_seconds
        self._open_streams = open_streams
        self._limits = limits
        option = resumption(route.method)
        self._after = _integer_field(route.method.input_type.fields_by_name, option.after_field) if option else None
        self._lines = Lines(route.shaper, raw_body(route.method, route.shaper))
        self._is_raw = raw_body(route.method, route.shaper) is not None
        self._events = Events(route.shaper, option)
        self._method: Any = None

    def connect(self, upstream: Upstream) -> None:
        """Take what calls the RPC."""
        self._method = upstream.method(self._route.method)

    async def answer(self, incoming: Incoming) -> None:
        """Call the upstream and send its messages until it ends or the client leaves.

        Raises:
            Failure: the request does not fit the RPC.
            CallFailed: the upstream refused before the first message.
            ClientGone: the client left; the call is cancelled.
        """
        as_events = _EVENT_STREAM in incoming.caller.accept
        call, watch = self._begin(incoming, as_events=as_events)
        self._open_streams.add(call)
        try:
            framing = self._framing(incoming.caller.accept, as_events=as_events)
            await self._run(call, framing, incoming, watch)
        except (CallFailed, OSError):
            if watch.gone:
                raise ClientGone from None
            raise
        finally:
            watch.stop()
            self._open_streams.discard(call)
            call.cancel()

    def _framing(self, accept: str, *, as_events: bool) -> Framing:
        if as_events:
            return self._events
        return Array(self._route.shaper) if wants_array(accept) and not self._is_raw else self._lines

    def _begin(self, incoming: Incoming, *, as_events: bool) -> tuple[StreamCall, DisconnectWatch | Upload]:
        caller = incoming.caller
        if self._route.method.client_streaming:
            source = source_of(incoming, self.binder, self._limits)
            call = self._method.stream(caller.metadata, caller.timeout)
            # As grpc-gateway, whose reader of JSON only stops at what it cannot read.
            reports = not isinstance(source, JsonMessages)
            return call, Upload(incoming.receive, call, source, reports=reports)
        request = request_of(incoming, self.binder)
        if as_events:
            self._resume(request, incoming)
        call = self._method.stream(caller.metadata, caller.timeout, request)
        return call, DisconnectWatch(incoming.receive, incoming.connection, call.cancel)

    async def _run(
        self, call: StreamCall, framing: Framing, incoming: Incoming, watch: DisconnectWatch | Upload
    ) -> None:
        stream = _Stream(self._route, call, framing, incoming)
        try:
            await stream.run(self._heartbeat_seconds if framing is self._events else 0)
        except _Cancelled:
            failure = watch.failure if isinstance(watch, Upload) else None
            if failure is not None:
                await stream.fail(failure)
            elif self._open_streams.ending and not watch.gone:
                await stream.say_goodbye()
            else:
                raise ClientGone from None

    def _resume(self, request: Any, incoming: Incoming) -> None:
        field, last = self._after, incoming.caller.last_event_id
        if field is None or not last:
            return
        low, high = integer_range(field.type) or (0, 0)
        if not last.isascii() or not last.isdecimal() or len(last) > 20 or not low <= int(last) <= high:
            raise invalid_field("Last-Event-ID", "Last-Event-ID: expected the id of an event of this stream")
        keys = parse_query(incoming.query) if self.binder.reads_query else {}
        if field.name not in keys and field.json_name not in keys:
            setattr(request, field.name, int(last))


class _Cancelled(Exception):
    """The call was cancelled from here."""


class _Stream:
    """One running stream."""

    def __init__(self, route: Route, call: StreamCall, framing: Framing, incoming: Incoming) -> None:
        self._errors = route.errors
        self._outgoing = route.outgoing
        self._status = route.answer.status
        self._call = call
        self._framing = framing
        self._started = False
        self._send: Send = incoming.send
        self._own_headers = [*route.answer.marks, *own_headers(incoming.caller)]

    async def run(self, heartbeat_seconds: float) -> None:
        reading = asyncio.ensure_future(self._call.read())
        try:
            await asyncio.wait({reading}, timeout=_FIRST_MESSAGE_SECONDS if heartbeat_seconds else None)
            if reading.done() and not await self._is_worth_starting(reading):
                return
            first = reading.result() if reading.done() else None
            await self._start(first)
            heartbeat = Heartbeat(self._send, heartbeat_seconds)
            try:
                if first is None:
                    await heartbeat.beat()
                await self._pump(await reading, heartbeat)
            except CallFailed as error:
                self._check_cancelled()
                await self._end_with(self._errors.from_call(error))
            finally:
                heartbeat.stop()
        finally:
            reading.cancel()
        await self._send({"type": "http.response.body", "body": self._framing.ending()})

    async def fail(self, failure: Failure) -> None:
        """End the stream because of what the client sent.

        Raises:
            Failure: the same, when nothing was sent yet.
        """
        if not self._started:
            raise failure
        await self._end_with(self._errors.from_failure(failure))
        await self._send({"type": "http.response.body", "body": self._framing.ending()})

    async def say_goodbye(self) -> None:
        """End the stream because the adapter shuts down."""
        if not self._started:
            raise Failure(grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN)
        await self._send({"type": "http.response.body", "body": goodbye(self._framing)})

    def _check_cancelled(self) -> None:
        if self._call.is_cancelled():
            raise _Cancelled

    async def _is_worth_starting(self, reading: "asyncio.Future[Any]") -> bool:
        """Answer a stream that ended before its first message; return whether there is a stream to send."""
        try:
            first = await reading
        except CallFailed as error:
            self._check_cancelled()
            if not self._framing.wraps_early(error):
                raise
            answer = self._errors.from_call(error)
            headers = [JSON_TYPE, *(header for header in answer.headers if header[0] != _WWW), *self._own_headers]
            await respond_chunked(self._send, answer.http_status, headers, self._framing.error(answer.content))
            return False
        if first is not EOF:
            return True
        # 204 tells an EventSource not to come back; grpc-gateway sends an empty 200 without a content type.
        headers = [*self._outgoing.headers(await self._call.headers()), *self._own_headers]
        ending = self._framing.ending()
        if ending:
            headers.append(JSON_TYPE)
        await respond_chunked(self._send, self._framing.empty_status, headers, ending)
        return False

    async def _start(self, first: Any) -> None:
        metadata = await self._call.headers() if first is not None else None
        headers = [*self._framing.headers(first), *self._outgoing.headers(metadata), *self._own_headers]
        status = self._outgoing.status(metadata, self._status)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        self._started = True

    async def _pump(self, message: Any, heartbeat: Heartbeat) -> None:
        while message is not EOF:
            body = self._framing.message(message)
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            heartbeat.rest()
            message = await self._call.read()

    async def _end_with(self, answer: ErrorAnswer) -> None:
        body = self._framing.error(answer.content)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


def _integer_field(fields: Any, name: str) -> FieldDescriptor:
    field: FieldDescriptor | None = fields.get(name)
    if field is None or integer_range(field.type) is None:
        raise BindingInvalid(f"the resumption names {name!r}, which is no integer field of the request")
    return field
