"""One RPC on its way through the interceptors, and the driver that sends every call shape through them."""

from __future__ import annotations  # grpc is generic for type checkers only

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from services.chassis.caller import ANONYMOUS, Caller
from services.chassis.errors import RequestMalformed
from services.chassis.interceptors.page_limit import limited_page
from services.chassis.method_options import Access

QUIET = "/grpc."
"""How the names of gRPC's own RPCs begin, health and reflection: they are asked all the time."""
GONE = (asyncio.CancelledError, GeneratorExit)
"""The client went away or its deadline passed: grpc.aio tells so only by cancelling, and sets no code."""
_UNREADABLE = object()
"""Stands for a request whose bytes could not be read."""
_OK = (grpc.StatusCode.OK, 0, None)


@dataclass(slots=True)
class Call:
    """What the interceptors know of one RPC.

    `request_checks` run on each request message before the servicer sees it.
    """

    method: str
    access: Access
    context: grpc.aio.ServicerContext[Any, Any]
    metadata: dict[str, str]
    request_id: str = ""
    caller: Caller = ANONYMOUS
    is_stream: bool = False
    request_checks: list[Callable[[Message], None]] = field(default_factory=list)
    is_broken_off: bool = False
    is_sending: bool = False
    """Whether a response is on its way: then it is gRPC that waits, and not the servicer."""

    def break_off(self, task: asyncio.Task[Any]) -> None:
        """End the stream that runs in the task: the servicer is cancelled where it waits, or after this response."""
        self.is_broken_off = True
        if not self.is_sending:
            task.cancel()

    async def sending(self, responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the responses, until the stream is broken off."""
        async for response in responses:
            self.is_sending = True
            yield response
            self.is_sending = False
            if self.is_broken_off:
                raise asyncio.CancelledError

    def check(self, request: Any) -> Any:
        """Return `request` once all checks have passed."""
        if request is _UNREADABLE:
            raise RequestMalformed
        for request_check in self.request_checks:
            request_check(request)
        return request


def status_of(call: Call, *, gone: bool) -> str:
    """Return the name of the gRPC status with which a call ended; `gone` says whether it was broken off (GONE)."""
    if gone:
        return "CANCELLED"
    code = call.context.code()
    return "OK" if code in _OK else getattr(code, "name", str(code))


Interceptor = Callable[[Call], AbstractAsyncContextManager[None]]
"""Wraps one RPC: what stands before the `yield` runs before the servicer, what stands after it runs afterwards.

Being a context manager, it is the same for all four call shapes.
"""


class InterceptorChain(grpc.aio.ServerInterceptor):
    """Sends every RPC through `interceptors`, the first one outermost."""

    def __init__(self, interceptors: Sequence[Interceptor], access_rules: dict[str, Access]) -> None:
        self._interceptors = tuple(interceptors)
        self._access_rules = access_rules
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the servicer's handler inside the chain; built once a method."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return handler
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
        access = self._access_rules[method]
        is_stream = handler.request_streaming or handler.response_streaming

        async def enter(stack: AsyncExitStack, context: Any) -> Call:
            metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            call = Call(method, access, context, metadata, is_stream=is_stream)
            for interceptor in self._interceptors:
                await stack.enter_async_context(interceptor(call))
            return call

        make, behaviour = _SHAPES[handler.request_streaming, handler.response_streaming]
        wrapped: grpc.RpcMethodHandler[Any, Any] = make(
            behaviour(handler, enter), _reader(handler.request_deserializer), handler.response_serializer
        )
        return wrapped


def _reader(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """Return a deserializer that never raises: grpc.aio would answer INTERNAL, before any interceptor sees the call."""

    def read(data: bytes) -> Any:
        try:
            return data if deserialize is None else deserialize(data)
        except DecodeError:
            return _UNREADABLE

    return read


Enter = Callable[[AsyncExitStack, Any], Awaitable[Call]]


def _unary_unary(handler: Any, enter: Enter) -> Callable[[Any, Any], Awaitable[Any]]:
    async def behave(request: Any, context: Any) -> Any:
        async with AsyncExitStack() as stack:
            call = await enter(stack, context)
            return await limited_page(handler.unary_unary, call.check(request), context)

    return behave


def _unary_stream(handler: Any, enter: Enter) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def behave(request: Any, context: Any) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            call = await enter(stack, context)
            async for response in call.sending(_responses(handler.unary_stream(call.check(request), context))):
                yield response

    return behave


def _stream_unary(handler: Any, enter: Enter) -> Callable[[Any, Any], Awaitable[Any]]:
    async def behave(requests: AsyncIterable[Any], context: Any) -> Any:
        async with AsyncExitStack() as stack:
            call = await enter(stack, context)
            return await handler.stream_unary(_checked(call, requests), context)

    return behave


def _stream_stream(handler: Any, enter: Enter) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def behave(requests: AsyncIterable[Any], context: Any) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            call = await enter(stack, context)
            async for response in call.sending(_responses(handler.stream_stream(_checked(call, requests), context))):
                yield response

    return behave


async def _responses(answering: Any) -> AsyncIterator[Any]:
    """Yield what a streaming servicer answers; one that is a coroutine, as grpc's own Watch, writes by itself."""
    if inspect.isawaitable(answering):
        await answering
        return
    async for response in answering:
        yield response


async def _checked(call: Call, requests: AsyncIterable[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield call.check(request)


# By (requests stream, responses stream).
_SHAPES: dict[tuple[bool, bool], tuple[Callable[..., Any], Callable[..., Any]]] = {
    (False, False): (grpc.unary_unary_rpc_method_handler, _unary_unary),
    (False, True): (grpc.unary_stream_rpc_method_handler, _unary_stream),
    (True, False): (grpc.stream_unary_rpc_method_handler, _stream_unary),
    (True, True): (grpc.stream_stream_rpc_method_handler, _stream_stream),
}
