"""The upstream of golden.proto: what grpc-gateway's example server does, as far as the golden vectors need it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.rpc import error_details_pb2, status_pb2

from adapters.rest.descriptors import DescriptorSet, message_class
from tests.adapters.trial import compile_proto

FIRST = (("foo", "foo1"), ("bar", "bar1"))
LAST = (("foo", "foo2"), ("bar", "bar2"))


def compile_golden(folder: Path) -> Path:
    """Compile golden.proto into `folder` and return the file of its descriptor set."""
    return compile_proto("golden.proto", folder)


class Golden:
    """The RPCs, by name."""

    def __init__(self) -> None:
        """Start with nothing waiting."""
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def echo(self, request: Any, _context: Any) -> Any:
        return request

    async def echo_body(self, request: Any, context: Any) -> Any:
        await context.send_initial_metadata(FIRST)
        context.set_trailing_metadata(LAST)
        return request

    async def echo_unauthorized(self, _request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "unauthorized err")

    async def update(self, _request: Any, _context: Any) -> Any:
        return Empty()

    async def bulk_create(self, requests: AsyncIterator[Any], context: Any) -> Any:
        if "error" in dict(context.invocation_metadata()):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "error metadata")
        count = 0
        async for _ in requests:
            count += 1
        await context.send_initial_metadata((("count", str(count)),))
        context.set_trailing_metadata(LAST)
        return Empty()

    async def list(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await context.send_initial_metadata((("count", "0"),))
        if request.error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "error")
        nothing: tuple[Any, ...] = ()
        for message in nothing:
            yield message

    async def bulk_echo(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        await context.send_initial_metadata(FIRST)
        async for request in requests:
            yield request

    async def download(self, request: Any, context: Any) -> AsyncIterator[Any]:
        from google.api.httpbody_pb2 import HttpBody

        for number in (1, 2):
            yield HttpBody(content_type="text/html", data=f"Hello {number}".encode())
        if request.error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "error")

    async def error_with_details(self, _request: Any, context: Any) -> Any:
        status = status_pb2.Status(code=2, message="with details")
        status.details.add().Pack(error_details_pb2.DebugInfo(stack_entries=["foo:1"], detail="error debug details"))
        trailing = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(grpc.StatusCode.UNKNOWN, "with details", trailing)

    async def wait(self, _request: Any, _context: Any) -> Any:
        self.cancelled.clear()
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


async def start_golden(golden: Golden, types: DescriptorSet) -> tuple[grpc.aio.Server, int]:
    """Start the server on a free port."""
    server = grpc.aio.server()
    behaviors: dict[str, Any] = {
        "EchoBody": golden.echo_body,
        "EchoUnauthorized": golden.echo_unauthorized,
        "UpdateV2": golden.update,
        "BulkCreate": golden.bulk_create,
        "List": golden.list,
        "BulkEcho": golden.bulk_echo,
        "Download": golden.download,
        "ErrorWithDetails": golden.error_with_details,
        "Wait": golden.wait,
    }
    checked = message_class(types.pool.FindMessageTypeByName(_name("CheckStatusResponse")))

    async def check_status(_request: Any, _context: Any) -> Any:
        answer: Any = checked()
        answer.status.SetInParent()
        return answer

    services: dict[str, dict[str, Any]] = {}
    for method in types.methods():
        sides = f"{_side(streams=method.client_streaming)}_{_side(streams=method.server_streaming)}"
        make = getattr(grpc, f"{sides}_rpc_method_handler")
        behavior = check_status if method.name == "CheckStatus" else behaviors.get(method.name, golden.echo)
        services.setdefault(method.containing_service.full_name, {})[method.name] = make(
            behavior,
            request_deserializer=message_class(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
    for service, handlers in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


def _side(*, streams: bool) -> str:
    return "stream" if streams else "unary"


def _name(message: str) -> str:
    return f"grpc.gateway.examples.internal.proto.examplepb.{message}"
