"""The upstream of trial.proto: a real gRPC server made from descriptors, without generated code."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import google.api
import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_tools import protoc  # type: ignore[import-untyped]

from adapters.rest.descriptors import DescriptorSet, load_descriptor_set, message_class

_HERE = Path(__file__).parent
SERVICE = "trial.v1.TrialService"


def compile_trial(folder: Path) -> Path:
    """Compile trial.proto into `folder` and return the file of its descriptor set."""
    return compile_proto("trial.proto", folder)


def compile_proto(proto: str, folder: Path) -> Path:
    """Compile a proto of this folder into `folder` and return the file of its descriptor set."""
    target = folder / f"{proto.removesuffix('.proto')}.binpb"
    google_protos = Path(next(iter(google.api.__path__))).parents[1]
    well_known = Path(protoc.__file__).parent / "_proto"
    arguments = [
        "protoc",
        f"-I{_HERE}",
        f"-I{_HERE.parents[1] / 'protos'}",
        f"-I{google_protos}",
        f"-I{well_known}",
        f"--descriptor_set_out={target}",
        "--include_imports",
        "--include_source_info",
        proto,
    ]
    assert protoc.main(arguments) == 0
    return target


def load_trial(path: Path) -> DescriptorSet:
    """Return the compiled types."""
    return load_descriptor_set(path.read_bytes())


class Trial:
    """The RPCs of trial.proto."""

    def __init__(self, descriptors: DescriptorSet) -> None:
        """Take the types, to make answers of."""
        self._types = descriptors
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()

    def make(self, name: str, **fields: Any) -> Any:
        """Return a message of a type of the package."""
        return message_class(self._types.pool.FindMessageTypeByName(f"trial.v1.{name}"))(**fields)

    async def echo(self, request: Any, context: Any) -> Any:
        await context.send_initial_metadata((("foo", "foo1"), ("raw-bin", b"\x01")))
        return request

    update = echo

    async def user(self, method: str, request: Any, context: Any) -> Any:
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        remaining = context.time_remaining()
        metadata["remaining"] = "none" if remaining is None else f"{remaining:.0f}"
        metadata["request-id-field"] = request.request_id
        return self.make("UserResponse", id=request.id, method=method, metadata=metadata)

    async def fail(self, request: Any, context: Any) -> Any:
        if request.with_exception:
            raise RuntimeError("secret")
        code = next(code for code in grpc.StatusCode if code.value[0] == request.code)
        trailing: tuple[tuple[str, bytes], ...] = ()
        if request.with_details:
            status = status_pb2.Status(code=request.code, message=request.message)
            status.details.add().Pack(
                error_details_pb2.DebugInfo(stack_entries=["foo:1"], detail="error debug details")
            )
            status.details.add().Pack(self.make("UserRequest", id="own"))
            trailing = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(code, request.message, trailing)

    async def download(self, _request: Any, _context: Any) -> Any:
        return self._http_body("text/html", b"<p>Hello")

    async def download_many(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        yield self._http_body("text/html", b"Hello 1")
        yield self._http_body("text/html", b"Hello 2")

    async def wait(self, _request: Any, _context: Any) -> Any:
        await self._until_cancelled()

    async def tick(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(request.after + 1, request.after + request.count + 1):
            yield self.make("TickResponse", sequence=number, tock={"text": f"<{number}>"})
        if request.fail_code:
            code = next(code for code in grpc.StatusCode if code.value[0] == request.fail_code)
            await context.abort(code, "error")
        if request.hang:
            await self._until_cancelled()

    def _http_body(self, content_type: str, data: bytes) -> Any:
        kind = message_class(self._types.pool.FindMessageTypeByName("google.api.HttpBody"))
        return kind(content_type=content_type, data=data)

    async def _until_cancelled(self) -> None:
        self.cancelled.clear()
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting.clear()
            self.cancelled.set()


async def start_trial(trial: Trial, descriptors: DescriptorSet) -> tuple[grpc.aio.Server, int]:
    """Start the server on a free port."""
    server = grpc.aio.server(options=(("grpc.max_receive_message_length", 16 * 1024 * 1024),))
    behaviors: dict[str, Any] = {
        "Echo": trial.echo,
        "Update": trial.update,
        "Fail": trial.fail,
        "Download": trial.download,
        "Wait": trial.wait,
        "Tick": trial.tick,
        "DownloadMany": trial.download_many,
    }
    handlers = {}
    for method in descriptors.methods():
        behavior = behaviors.get(method.name) or _named(trial, method.name)
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        handlers[method.name] = make(
            behavior,
            request_deserializer=message_class(method.input_type).FromString,
            response_serializer=message_class(method.output_type).SerializeToString,
        )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await servicer.set(SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


def _named(trial: Trial, name: str) -> Any:
    async def behave(request: Any, context: Any) -> Any:
        return await trial.user(name, request, context)

    return behave
