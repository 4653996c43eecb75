"""Descriptors of strangers' gRPC methods, and messages that are made by them, are read in a sandbox."""

import json

import pytest
from google.protobuf import descriptor_pb2

from services.chassis.sandbox.running import LimitExceeded, Limits, Refused, Sandbox
from services.tools.backends.bounded_schemas import BoundedSchemas
from services.tools.backends.foreign import grpc_messages
from services.tools.errors import SourceInvalid
from services.tools.rules import GrpcSource

METHOD = "/a.v1.S/Do"


def descriptors(field: str = "n", depth: int = 1) -> bytes:
    """Return the set of a method that takes and returns a message with a field of its own kind, and of other files."""
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="a.v1", syntax="proto3")
    message = file.message_type.add(name="M")
    message.field.add(name=field, number=1, type=11, label=3, type_name=".a.v1.M")
    for _ in range(depth):
        message = message.nested_type.add(name="M")
    file.service.add(name="S").method.add(name="Do", input_type=".a.v1.M", output_type=".a.v1.M")
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()


async def run(function: str, descriptor_set: bytes, content: bytes) -> bytes:
    """Run a function of the sandbox's side."""
    payload = grpc_messages.packed(descriptor_set, METHOD, content)
    limits = Limits(memory_bytes=200_000_000, cpu_seconds=2, output_bytes=4_000_000)
    return await Sandbox(limits=limits).run(f"{grpc_messages.__name__}:{function}", payload)


async def test_arguments_become_a_message_and_an_answer_becomes_json() -> None:
    request = await run("request_of", descriptors(), b'{"n": [{}, {"n": [{}]}]}')
    assert request == b"\x0a\x00\x0a\x02\x0a\x00"
    assert json.loads(await run("answer_of", descriptors(), request)) == {"n": [{}, {"n": [{}]}]}
    for wrong in (b'{"m": 1}', b'{"n": 1}'):
        with pytest.raises(Refused):
            await run("request_of", descriptors(), wrong)
    with pytest.raises(Refused):
        await run("answer_of", descriptors(), b"\xff\xff")


async def test_an_answer_that_would_grow_without_bound_is_ended() -> None:
    # Each of these two bytes becomes a field with a long name in JSON.
    answer = b"\x0a\x02\x0a\x00" * 60_000
    with pytest.raises(LimitExceeded):
        await run("answer_of", descriptors("x" * 200_000), answer)


@pytest.mark.parametrize(
    "descriptor_set",
    [
        b"x",
        b"\x0a" * 900_000,
        descriptors(depth=90) + descriptors(),
        descriptors().replace(b"a.v1.M", b"a.v1.N"),
        descriptors().replace(b"Do", b"Go"),
        descriptor_pb2.FileDescriptorSet(
            file=[descriptor_pb2.FileDescriptorProto(name=f"{n}.proto", dependency=["0.proto"]) for n in range(9)]
        ).SerializeToString(),
        b"".join(b"\x0a" + bytes([4]) + b"\x0a\x02" + f"{n:02}".encode() for n in range(99)) * 900,
    ],
)
async def test_descriptors_that_cannot_be_used_are_refused(descriptor_set: bytes) -> None:
    schemas = BoundedSchemas(Sandbox())
    with pytest.raises(SourceInvalid, match="descriptor_set"):
        await schemas.method(GrpcSource("a.example:443", METHOD, descriptor_set), "ann")
    await schemas.method(GrpcSource("a.example:443", METHOD, descriptors()), "ann")
