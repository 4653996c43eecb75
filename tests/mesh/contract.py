"""What the product's descriptors say, so that a new RPC meets these tests without being listed."""

import importlib
import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2, field_behavior_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from parley.access.v1 import access_pb2
from parley.validation.v1 import validation_pb2

_VERBS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True)
class Route:
    """One REST form of an RPC."""

    method: str
    template: str


def methods() -> list[MethodDescriptor]:
    """Return every RPC of the product."""
    return list(_methods())


def name(method: MethodDescriptor) -> str:
    """Return `Service.Rpc`."""
    return f"{method.containing_service.name}.{method.name}"


def path(method: MethodDescriptor) -> str:
    """Return the RPC's gRPC path."""
    return f"/{method.containing_service.full_name}/{method.name}"


def level(method: MethodDescriptor) -> int:
    """Return who may call it."""
    return int(method.GetOptions().Extensions[access_pb2.access].level)


def routes(method: MethodDescriptor) -> list[Route]:
    """Return its REST forms."""
    rule: http_pb2.HttpRule = method.GetOptions().Extensions[annotations_pb2.http]
    return [
        Route(verb.upper(), getattr(item, verb))
        for item in (rule, *rule.additional_bindings)
        for verb in _VERBS
        if item.WhichOneof("pattern") == verb
    ]


def request(method: MethodDescriptor, **known: str) -> Message:
    """Return a request with the known strings, where it has such fields, and something in what else is required."""
    message = message_factory.GetMessageClass(method.input_type)()
    for field in method.input_type.fields:
        if field.name in known:
            setattr(message, field.name, known[field.name])
        elif is_required(field):
            _fill(message, field)
    return message


def response_class(method: MethodDescriptor) -> type[Message]:
    """Return the class of its answers."""
    return message_factory.GetMessageClass(method.output_type)


def is_required(field: FieldDescriptor) -> bool:
    """Whether a field may not be empty."""
    return field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def is_id(field: FieldDescriptor) -> bool:
    """Whether a field holds a UUID."""
    limits = field.GetOptions().Extensions[validation_pb2.limits]
    return bool(limits.format == validation_pb2.FORMAT_UUID)


def _fill(message: Message, field: FieldDescriptor) -> None:
    if field.message_type is not None:
        part = getattr(message, field.name)
        part.SetInParent()
        for inner in ("title", "display_name"):
            if inner in field.message_type.fields_by_name:
                setattr(part, inner, "Something")
    elif field.type == FieldDescriptor.TYPE_STRING:
        setattr(message, field.name, "01a1fe14-5fb0-7625-8f9e-dc80e2bf6867" if is_id(field) else "something")
    elif field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64):
        setattr(message, field.name, 1)
    else:
        raise AssertionError(f"say what stands in {field.full_name}")


def _methods() -> Iterator[MethodDescriptor]:
    packed = (importlib.resources.files("parley") / "descriptors.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(packed).file:
        if file.package.startswith("parley."):
            importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
            for service in descriptor_pool.Default().FindFileByName(file.name).services_by_name.values():
                yield from service.methods
