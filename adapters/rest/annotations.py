"""Reads the options of RPCs and fields: google.api.http, google.api.field_behavior and Parley's own.

A foreign descriptor set has none of Parley's options; then every reader returns nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2, field_behavior_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from parley.access.v1 import access_pb2
from parley.streaming.v1 import streaming_pb2
from parley.validation.v1 import validation_pb2


@dataclass(frozen=True, slots=True)
class Binding:
    """One HTTP method and path of an RPC."""

    http_method: str
    template: str
    body: str
    response_body: str
    nested: bool = False
    """Whether an additional binding has additional bindings of its own, which is an error."""


def http_bindings(method: MethodDescriptor) -> Iterator[Binding]:
    """Yield the bindings of an RPC: the rule, then its additional bindings."""
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    yield from bindings_of(options.Extensions[annotations_pb2.http])


def bindings_of(rule: HttpRule) -> Iterator[Binding]:
    """Yield the bindings of a rule: its own, then the additional ones."""
    for part in (rule, *rule.additional_bindings):
        kind = part.WhichOneof("pattern")
        if kind is None:
            continue
        custom = kind == "custom"
        yield Binding(
            part.custom.kind if custom else kind.upper(),
            part.custom.path if custom else getattr(part, kind),
            part.body,
            part.response_body,
            part is not rule and bool(part.additional_bindings),
        )


def access_rule(method: MethodDescriptor) -> access_pb2.AccessRule | None:
    """Return who may call an RPC, or None when it does not say."""
    options = method.GetOptions()
    return options.Extensions[access_pb2.access] if options.HasExtension(access_pb2.access) else None


def max_request_bytes(method: MethodDescriptor) -> int | None:
    """Return the most bytes of a request to an RPC, or None when the contract does not say."""
    named = method.GetOptions().Extensions[access_pb2.max_request_bytes]
    rule = access_rule(method)
    if named or rule is None:
        return named or None
    level = access_pb2.Level.DESCRIPTOR.values_by_number.get(rule.level)
    return (level and level.GetOptions().Extensions[access_pb2.default_max_request_bytes]) or None


def resumption(method: MethodDescriptor) -> streaming_pb2.Resumption | None:
    """Return how a stream is numbered, or None when it cannot be resumed."""
    options = method.GetOptions()
    if not options.HasExtension(streaming_pb2.resumption):
        return None
    return options.Extensions[streaming_pb2.resumption]


def limits(field: FieldDescriptor) -> validation_pb2.FieldLimits:
    """Return the limits of a field; an empty message when it has none."""
    return field.GetOptions().Extensions[validation_pb2.limits]


def is_required(field: FieldDescriptor) -> bool:
    """Return whether a request must fill the field."""
    return field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def is_output_only(field: FieldDescriptor) -> bool:
    """Return whether only the server fills the field."""
    return field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
