"""Starts a real gRPC server for any descriptor set, from functions by the name of the RPC."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from adapters.rest.descriptors import DescriptorSet, load_descriptor_set, message_class
from adapters.rest.settings import RestSettings
from tests.adapters.conftest import Face, running_adapter
from tests.adapters.trial import compile_proto


@asynccontextmanager
async def serving(types: DescriptorSet, behaviors: Mapping[str, Any]) -> AsyncIterator[str]:
    """Serve the functions, by the full name of their RPC, and yield the address."""
    server = grpc.aio.server()
    for method in types.methods():
        if method.full_name not in behaviors:
            continue
        sides = f"{_side(streams=method.client_streaming)}_{_side(streams=method.server_streaming)}"
        handler = getattr(grpc, f"{sides}_rpc_method_handler")(
            behaviors[method.full_name],
            request_deserializer=message_class(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        service = method.containing_service.full_name
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method.name: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def facing(proto: Path, upstream: str, **settings: Any) -> AsyncIterator[Face]:
    """Run the adapter for a descriptor set in front of an upstream."""
    given = {"listen": "127.0.0.1:0", "upstream": upstream, "descriptor_set": proto, "drain_seconds": 1, **settings}
    async with running_adapter(RestSettings(**given)) as face:
        yield face


def compiled(proto: str, folder: Path) -> tuple[Path, DescriptorSet]:
    """Return the descriptor set of a proto of this folder: its file and its types."""
    path = compile_proto(proto, folder)
    return path, load_descriptor_set(path.read_bytes())


def _side(*, streams: bool) -> str:
    return "stream" if streams else "unary"
