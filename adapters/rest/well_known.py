"""The message types with a JSON form of their own: wrappers here, the rare rest through protobuf's json_format."""

import math
from typing import Any

from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool

from adapters.rest.decoding import Fill
from adapters.rest.descriptors import message_class
from adapters.rest.duplicate_keys import refuse_any
from adapters.rest.encoding import Encoders
from adapters.rest.failures import ValueInvalid
from adapters.rest.go_times import parse_json_duration, parse_json_time
from adapters.rest.scalars import ToJson, float_to_json, scalar_from_json, scalar_to_json

WRAPPERS = {
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
}
_TEXTS = {f"google.protobuf.{kind}" for kind in ("Timestamp", "Duration", "FieldMask")}
ANY = "google.protobuf.Any"
_MOMENTS = {"google.protobuf.Timestamp": parse_json_time, "google.protobuf.Duration": parse_json_duration}
_EXPECTED = {
    "google.protobuf.Timestamp": "expected an RFC 3339 time such as 2026-01-31T12:00:00Z",
    "google.protobuf.Duration": "expected seconds such as 1.5s",
    "google.protobuf.FieldMask": "expected field names with commas between them",
}


class AnyTypeUnknown(Exception):
    """An Any holds a type that neither the descriptor set nor this process knows."""


def encode_well_known(descriptor: Descriptor) -> ToJson | None:
    """Return what makes JSON of a well-known type other than Any, or None for another type."""
    name = descriptor.full_name
    if name in WRAPPERS:
        convert = scalar_to_json(descriptor.fields_by_name["value"])
        return (lambda message: message.value) if convert is None else lambda message: convert(message.value)
    if name in _TEXTS:
        return lambda message: message.ToJsonString()
    return _FREE_FORM.get(name)


def _value_to_json(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return float_to_json(value.number_value)
    if kind == "struct_value":
        return _struct_to_json(value.struct_value)
    if kind == "list_value":
        return _list_to_json(value.list_value)
    return None if kind in (None, "null_value") else getattr(value, kind)


def _struct_to_json(value: Any) -> Any:
    fields = value.fields
    return {name: _value_to_json(fields[name]) for name in sorted(fields)}


def _list_to_json(value: Any) -> Any:
    return [_value_to_json(item) for item in value.values]


_FREE_FORM: dict[str, ToJson] = {
    "google.protobuf.Struct": _struct_to_json,
    "google.protobuf.Value": _value_to_json,
    "google.protobuf.ListValue": _list_to_json,
}


def encode_any(encoders: Encoders, pool: DescriptorPool) -> ToJson:
    """Return what makes JSON of an Any: `@type`, then the fields of what it holds, or its own JSON as `value`."""

    def encode(message: Any) -> dict[str, Any]:
        if not message.type_url:
            return {}
        descriptor = find_type(pool, message.type_url)
        held = message_class(descriptor).FromString(message.value)
        content = encoders.of(descriptor)(held)
        special = descriptor.full_name == ANY or encode_well_known(descriptor) is not None
        return {"@type": message.type_url, **({"value": content} if special else content)}

    return encode


def find_type(pool: DescriptorPool, type_url: str) -> Descriptor:
    """Return the type that an Any names, from the pool or from what is installed, such as google.rpc's details.

    Raises:
        AnyTypeUnknown: neither has it.
    """
    name = type_url.rpartition("/")[2]
    for known in (pool, descriptor_pool.Default()):
        try:
            return known.FindMessageTypeByName(name)
        except KeyError:
            continue
    raise AnyTypeUnknown(type_url)


def fill_well_known(pool: DescriptorPool) -> Any:
    """Return what, for a well-known type, returns what fills a message of it; None for another type."""

    def find(descriptor: Descriptor) -> Fill | None:
        name = descriptor.full_name
        if name in WRAPPERS:
            convert = scalar_from_json(descriptor.fields_by_name["value"])

            def fill_wrapper(message: Any, value: Any) -> None:
                message.value = convert(value)

            return fill_wrapper
        if name in _MOMENTS:
            return _fill_moment(name)
        if name not in _TEXTS and name not in _FREE_FORM and name != ANY:
            return None

        def fill(message: Any, value: Any) -> None:
            if not _is_finite(value):
                raise ValueInvalid("a number in it is too large")
            refuse_any(value)
            try:
                json_format.ParseDict(value, message, ignore_unknown_fields=True, descriptor_pool=pool)
            except (json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError):
                raise ValueInvalid(_EXPECTED.get(name, f"expected the JSON of {name}")) from None

        return fill

    return find


def _fill_moment(name: str) -> Fill:
    parse = _MOMENTS[name]

    def fill(message: Any, value: Any) -> None:
        try:
            message.seconds, message.nanos = parse(value)
        except (ValueError, TypeError):
            raise ValueInvalid(_EXPECTED[name]) from None

    return fill


def _is_finite(value: Any) -> bool:
    # JSON can spell 1e999, which json_format takes and can then not write.
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list) else True
