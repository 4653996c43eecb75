"""`python -m tests.benchmarks.rest.upstream BINPB HOST:PORT`: the echo service, where Go's is not to be had."""

import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop

from tests.benchmarks.rest.echo import SERVICE, load_echo


async def serve(descriptor_set: Path, address: str) -> None:
    """Echo until somebody ends the process."""
    _, kind = load_echo(descriptor_set)

    async def echo(request: Any, context: Any) -> Any:
        await context.send_initial_metadata((("foo", "foo1"), ("bar", "bar1")))
        return request

    handler = grpc.unary_unary_rpc_method_handler(
        echo, request_deserializer=kind.FromString, response_serializer=kind.SerializeToString
    )
    server = grpc.aio.server()
    handlers = {"Echo": handler, "EchoBody": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), sys.argv[2]))
