"""Calls to the gRPC upstream, on the layer below grpc.aio.

grpc.aio loses what a gateway has to pass on. When a write fails because the upstream has refused already, its calls
end with "Internal error from Core" and not with the status that is on its way. Headers that arrive together with the
end are dropped. A status code above 16 is a KeyError. Here each call asks for headers, messages and status by itself.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from adapters.rest.descriptors import message_class
from adapters.rest.failures import Failure
from services.chassis.mesh_tls import RotatingChannel

EOF = cygrpc.EOF
"""What a stream yields after its last message."""

Pairs = tuple[tuple[str, str | bytes], ...]

_CANCELLED, _DEADLINE_EXCEEDED, _INTERNAL, _UNAVAILABLE = 1, 4, 13, 14
_UNREACHABLE_SIGNS = ("failed to connect", "Socket closed", "connections to all backends failing", "DNS resolution")
_DEADLINE_TEXT = "Deadline Exceeded"
# The upstream's clock may be this much ahead of ours: its timer then cancels the call before ours ends it.
_CLOCK_SECONDS = 0.005
# How gRPC's core words what it has found out itself.
_OWN_SIGNS = (*_UNREACHABLE_SIGNS, "Stream removed", _DEADLINE_TEXT)
_WITHOUT_ANSWER = "the upstream ended without an answer"
_BROKEN = (cygrpc.InternalError, cygrpc.ExecuteBatchError)


class CallFailed(Exception):
    """The upstream refused, or was not reached."""

    def __init__(
        self, code: int, message: str, headers: Pairs = (), trailers: Pairs = (), *, by_peer: bool = True
    ) -> None:
        """Take the status, the metadata around it, and whether the upstream itself sent it."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.headers = headers
        self.trailers = trailers
        self.by_peer = by_peer


def is_unreachable(error: CallFailed) -> bool:
    """Return whether a call failed because there is no connection to the upstream."""
    return error.code == _UNAVAILABLE and error.message.startswith(_UNREACHABLE_SIGNS)


class CallOver(Exception):
    """Nothing can be written any more; the status says why."""


class Upstream:
    """The RPCs of one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Take the channel; the caller closes it."""
        self._channel = channel
        self._loop = asyncio.get_running_loop()

    def method(self, method: MethodDescriptor) -> "Method":
        """Return what calls an RPC."""
        return Method(self._channel, self._loop, method)


class Method:
    """One RPC."""

    def __init__(self, channel: Any, loop: asyncio.AbstractEventLoop, method: MethodDescriptor) -> None:
        """Take the channel."""
        self._channel = channel
        self._loop = loop
        self._path = f"/{method.containing_service.full_name}/{method.name}".encode()
        self._read: Any = message_class(method.output_type).FromString

    def call(self, request: Message, metadata: Any, timeout: float | None) -> "UnaryCall":
        """Begin a call that has one request and one answer.

        Raises:
            Failure: the request lacks a field that proto2 requires.
        """
        deadline = None if timeout is None else time.time() + timeout
        channel, raw = self._current(), _bytes_of(request)
        call = UnaryCall(self._start(channel, deadline), raw, tuple(metadata), self._read, deadline)
        channel._register_call(call)  # noqa: SLF001 - so that its close() waits for the call
        return call

    def stream(self, metadata: Any, timeout: float | None, request: Message | None = None) -> "StreamCall":
        """Begin a call with a stream on either side; with `request` it is the only one.

        Raises:
            Failure: the request lacks a field that proto2 requires.
        """
        deadline = None if timeout is None else time.time() + timeout
        only = None if request is None else _bytes_of(request)
        channel = self._current()
        begun = self._start(channel, deadline)
        call = StreamCall(begun, self._loop, tuple(metadata), self._read, deadline, only)
        channel._register_call(call)  # noqa: SLF001 - so that its close() waits for the call
        return call

    def _current(self) -> Any:
        return self._channel.current() if isinstance(self._channel, RotatingChannel) else self._channel

    def _start(self, channel: Any, deadline: float | None) -> Any:
        return channel._channel.call(self._path, deadline, None, None, 0)  # noqa: SLF001 - see the top of the file


class UnaryCall:
    """A call that has one request and one answer."""

    def __init__(self, call: Any, request: bytes, metadata: Pairs, read: Any, deadline: float | None) -> None:
        """Take what `Method.call` has made; nothing is sent before the answer is awaited."""
        self.headers: Pairs = ()
        self.trailers: Pairs = ()
        self._call = call
        self._request = request
        self._metadata = metadata
        self._read = read
        self._deadline = deadline

    async def answer(self) -> Any:
        """Return the answer; then `headers` and `trailers` have what came around it.

        Raises:
            CallFailed: the upstream refused, was not reached, or the call was cancelled.
        """
        # The requests of one turn of the loop begin their calls together: gRPC then wakes us up once for many of them,
        # which is a tenth of a call's time at 32 connections.
        await asyncio.sleep(0)
        try:
            raw = await self._call.unary_unary(self._request, self._metadata)
        except _BROKEN as error:
            raise CallFailed(_INTERNAL, str(error), by_peer=False) from None
        status = self._call._status  # noqa: SLF001 - set by unary_unary
        self.headers = self._call._initial_metadata or ()  # noqa: SLF001
        self.trailers = status.trailing_metadata() or ()
        if status.code():
            raise _failure(status, self.headers, self._deadline, self._call)
        if raw is None:
            raise CallFailed(_INTERNAL, _WITHOUT_ANSWER, self.headers, self.trailers)
        return _message_of(raw, self._read)

    def done(self) -> bool:
        """Return whether the status is there."""
        return bool(self._call.done())

    async def code(self) -> int:
        """Wait for the status and return its code."""
        return int((await self._call.status()).code())

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        """Call back when the status is there."""
        self._call.add_done_callback(partial(callback, self))

    def cancel(self) -> None:
        """End the call, unless it has ended."""
        if not self._call.done():
            self._call.cancel("the client left")


class StreamCall:
    """A call with a stream on either side. Whoever begins one cancels it in the end."""

    def __init__(
        self,
        call: Any,
        loop: asyncio.AbstractEventLoop,
        metadata: Pairs,
        read: Any,
        deadline: float | None,
        request: bytes | None,
    ) -> None:
        """Take what `Method.stream` has made, and begin."""
        self._call = call
        self._loop = loop
        self._read = read
        self._deadline = deadline
        self._status = loop.create_task(self._receive_status())
        self._headers = loop.create_task(self._receive_headers())
        self._begun = loop.create_task(self._begin(metadata, request))

    async def headers(self) -> Pairs:
        """Return what the upstream sent before its first message, or nothing when it sent none."""
        return await asyncio.shield(self._headers)

    async def trailers(self) -> Pairs:
        """Return what the upstream sent after its last message."""
        return (await asyncio.shield(self._status)).trailing_metadata() or ()

    async def read(self) -> Any:
        """Return the next message, or EOF.

        Raises:
            CallFailed: the call ended with an error, or was cancelled.
        """
        raw = await self._call.receive_serialized_message()
        if raw is not EOF:
            return _message_of(raw, self._read)
        await self._check_status()
        return EOF

    async def answer(self) -> Any:
        """Return the one answer of a call whose requests are a stream.

        Raises:
            CallFailed: the call ended with an error, without an answer, or was cancelled.
        """
        message = await self.read()
        await self._check_status()
        if message is EOF:
            raise CallFailed(_INTERNAL, _WITHOUT_ANSWER, await self.headers(), await self.trailers())
        return message

    async def write(self, message: Message) -> None:
        """Send a request.

        Raises:
            CallOver: the call has ended.
            Failure: the request lacks a field that proto2 requires.
        """
        await asyncio.shield(self._begun)
        try:
            await self._call.send_serialized_message(_bytes_of(message))
        except _BROKEN:
            raise CallOver from None

    async def done_writing(self) -> None:
        """Say that there are no more requests."""
        await asyncio.shield(self._begun)
        try:
            await self._call.send_receive_close()
        except _BROKEN:
            return

    def done(self) -> bool:
        """Return whether the status is there."""
        return self._status.done()

    async def code(self) -> int:
        """Wait for the status and return its code."""
        return int((await asyncio.shield(self._status)).code())

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        """Call back when the status is there."""
        self._status.add_done_callback(lambda _status: callback(self))

    def is_cancelled(self) -> bool:
        """Return whether the call was cancelled from here."""
        return bool(self._call.is_locally_cancelled())

    def cancel(self) -> None:
        """End the call, unless it has ended."""
        if not self._status.done() and not self._call.is_locally_cancelled():
            self._call.cancel("the client left")

    async def _check_status(self) -> None:
        status = await asyncio.shield(self._status)
        if status.code():
            raise _failure(status, await self.headers(), self._deadline, self._call)

    async def _begin(self, metadata: Pairs, request: bytes | None) -> None:
        operations: list[Any] = [cygrpc.SendInitialMetadataOperation(metadata, 0)]
        if request is not None:
            operations += [cygrpc.SendMessageOperation(request, 0), cygrpc.SendCloseFromClientOperation(0)]
        await self._execute(*operations)

    async def _receive_headers(self) -> Pairs:
        operation = cygrpc.ReceiveInitialMetadataOperation(0)
        return operation.initial_metadata() or () if await self._execute(operation) else ()

    async def _receive_status(self) -> Any:
        operation = cygrpc.ReceiveStatusOnClientOperation(0)
        if not await self._execute(operation):
            return cygrpc.AioRpcStatus(_INTERNAL, "the call could not be begun", (), "")
        return cygrpc.AioRpcStatus(
            operation.code(), operation.details(), operation.trailing_metadata(), operation.error_string()
        )

    async def _execute(self, *operations: Any) -> bool:
        try:
            await cygrpc.execute_batch(self._call, operations, self._loop)
        except _BROKEN:
            return False  # the status says why
        return True


def _bytes_of(request: Message) -> bytes:
    try:
        return request.SerializeToString()
    except EncodeError as error:
        raise Failure(grpc.StatusCode.INVALID_ARGUMENT, f"the request lacks a required field: {error}") from None


def _message_of(raw: bytes, read: Any) -> Any:
    try:
        return read(raw)
    except DecodeError:
        raise CallFailed(_INTERNAL, "the upstream's answer cannot be read") from None


def _failure(status: Any, headers: Pairs, deadline: float | None, call: Any) -> CallFailed:
    code, message = int(status.code()), str(status.details() or "")
    by_peer = not message.startswith(_OWN_SIGNS)
    is_due = deadline is not None and time.time() >= deadline - _CLOCK_SECONDS
    if code == _CANCELLED and is_due and not call.is_locally_cancelled():
        # The upstream's deadline is ours: its cancelling says no more than that.
        code, message, by_peer = _DEADLINE_EXCEEDED, _DEADLINE_TEXT, False
    return CallFailed(code, message, headers, status.trailing_metadata() or (), by_peer=by_peer)
