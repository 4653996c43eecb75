"""Single fields as whole bodies: grpc-gateway sends them through Go's encoding/json, not through protobuf's mapping.

So a 64-bit integer is a number, an enum is read as a number only, and a list is read and written item by item.
"""

import math
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from adapters.rest.failures import ValueInvalid
from adapters.rest.fields import is_map
from adapters.rest.go_numbers import decode_base64
from adapters.rest.scalars import ToJson, integer_range, scalar_from_json, scalar_to_json

_F = FieldDescriptor
_GO_TYPES = {
    _F.TYPE_STRING: "string",
    _F.TYPE_BYTES: "[]uint8",
    _F.TYPE_BOOL: "bool",
    _F.TYPE_DOUBLE: "float64",
    _F.TYPE_FLOAT: "float32",
}


def applies_to(field: FieldDescriptor) -> bool:
    """Return whether a field alone in a body goes this way: all but messages and maps."""
    return field.message_type is None and not is_map(field)


def plain_encoder(field: FieldDescriptor) -> ToJson:
    """Return what makes JSON of a field's value, lists included."""
    one = _encode_one(field)
    if field.is_repeated:
        return lambda values: [one(value) for value in values]
    if field.type == _F.TYPE_BYTES:
        return lambda value: one(value) if value else []  # Go has no empty bytes apart from no bytes
    return one


def plain_decoder(field: FieldDescriptor) -> Callable[[Any], Any]:
    """Return what makes a field's value (a list of them for a list) of parsed JSON; it raises ValueInvalid."""
    one = _decode_one(field)
    if not field.is_repeated:
        return one

    def decode_list(value: Any) -> list[Any]:
        if type(value) is not list:
            raise ValueInvalid("expected a list", go=_cannot(value, "[]json.RawMessage"))
        return [one(item) for item in value]

    return decode_list


def _encode_one(field: FieldDescriptor) -> ToJson:
    if integer_range(field.type) is not None:
        return int
    convert = scalar_to_json(field)
    return convert if convert is not None else lambda value: value


def _decode_one(field: FieldDescriptor) -> Callable[[Any], Any]:
    go_type = _go_type(field)
    bounds = (-(2**31), 2**31 - 1) if field.type == _F.TYPE_ENUM else integer_range(field.type)
    if bounds is not None:
        return _integer(bounds, go_type, is_enum=field.type == _F.TYPE_ENUM)
    if field.type in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
        return _float(scalar_from_json(field), go_type)
    if field.type == _F.TYPE_BYTES:
        return _bytes
    wanted = bool if field.type == _F.TYPE_BOOL else str

    def convert(value: Any) -> Any:
        if type(value) is not wanted:
            raise ValueInvalid(f"expected a {wanted.__name__}", go=_cannot(value, go_type))
        return value

    return convert


def _integer(bounds: tuple[int, int], go_type: str, *, is_enum: bool) -> Callable[[Any], int]:
    low, high = bounds

    def convert(value: Any) -> int:
        if is_enum and type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            text = "expected the number of an enum value" if is_enum else f"expected a number from {low} to {high}"
            raise ValueInvalid(text, go=_cannot(value, go_type))
        return value

    return convert


def _float(inner: Callable[[Any], float], go_type: str) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueInvalid("expected a number", go=_cannot(value, go_type))
        return inner(value)

    return convert


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise ValueInvalid("expected a base64 string", go=_cannot(value, "[]uint8"))
    try:
        return decode_base64(value, url_safe=False)
    except ValueError:
        raise ValueInvalid("expected a base64 string") from None


def _go_type(field: FieldDescriptor) -> str:
    bounds = integer_range(field.type)
    if bounds is None:
        return _GO_TYPES.get(field.type, "int32")
    return f"{'int' if bounds[0] else 'uint'}{64 if bounds[1] > 2**32 else 32}"


def _cannot(value: Any, go_type: str) -> str:
    kinds = {str: "string", bool: "bool", dict: "object", list: "array"}
    kind = kinds.get(type(value)) or (f"number {value}" if go_type[-1].isdecimal() else "number")
    return f"json: cannot unmarshal {kind} into Go value of type {go_type}"
