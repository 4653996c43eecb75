"""The service that is measured: its types, and what a request to it looks like."""

from pathlib import Path
from typing import Any

import google.api
import grpc
from google.protobuf.message import Message
from grpc_tools import protoc  # type: ignore[import-untyped]

from adapters.rest.descriptors import DescriptorSet, message_class, read_descriptor_set

_HERE = Path(__file__).parent
_PACKAGE = "grpc.gateway.examples.internal.proto.examplepb"
SERVICE = f"{_PACKAGE}.EchoService"
ECHO, ECHO_BODY = f"/{SERVICE}/Echo", f"/{SERVICE}/EchoBody"
RESOURCE_PATH = "/v1/example/echo/resource/"
BODY_PATH = "/v1/example/echo_body"
TEXT = "x" * 1000


def compile_echo(folder: Path) -> Path:
    """Compile echo.proto into `folder` and return the file of its descriptor set."""
    target = folder / "echo.binpb"
    google_protos = Path(next(iter(google.api.__path__))).parents[1]
    well_known = Path(protoc.__file__).parent / "_proto"
    arguments = [f"-I{place}" for place in (_HERE, google_protos, well_known)]
    assert protoc.main(["protoc", *arguments, f"--descriptor_set_out={target}", "--include_imports", "echo.proto"]) == 0
    return target


def load_echo(path: Path) -> tuple[DescriptorSet, type[Message]]:
    """Return the compiled types, and the one that goes both ways."""
    descriptors = read_descriptor_set(path)
    return descriptors, message_class(descriptors.pool.FindMessageTypeByName(f"{_PACKAGE}.SimpleMessage"))


def stub(channel: grpc.aio.Channel, rpc: str, kind: type[Message]) -> Any:
    """Return the callable of one of the RPCs, as generated code makes it."""
    return channel.unary_unary(rpc, request_serializer=kind.SerializeToString, response_deserializer=kind.FromString)
