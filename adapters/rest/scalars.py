"""Turns single values into JSON and back, by the rules of protobuf's JSON mapping as Go writes it."""

import base64
import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from adapters.rest.failures import ValueInvalid
from adapters.rest.fields import enum_of
from adapters.rest.go_numbers import decode_base64

ToJson = Callable[[Any], Any]
FromJson = Callable[[Any], Any]

_F = FieldDescriptor
_SIGNED_32 = {_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32}
_UNSIGNED_32 = {_F.TYPE_UINT32, _F.TYPE_FIXED32}
_SIGNED_64 = {_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64}
_UNSIGNED_64 = {_F.TYPE_UINT64, _F.TYPE_FIXED64}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# From here on a number rounds to infinity as a 32-bit float.
_FLOAT_LIMIT = 3.4028235677973366e38


def integer_range(field_type: int) -> tuple[int, int] | None:
    """Return the smallest and the largest value of an integer type, or None for another type."""
    if field_type in _SIGNED_32:
        return -(2**31), 2**31 - 1
    if field_type in _SIGNED_64:
        return -(2**63), 2**63 - 1
    if field_type in _UNSIGNED_32:
        return 0, 2**32 - 1
    return (0, 2**64 - 1) if field_type in _UNSIGNED_64 else None


def is_64_bit(field_type: int) -> bool:
    """Return whether JSON carries the integer type as a string."""
    return field_type in _SIGNED_64 or field_type in _UNSIGNED_64


def scalar_to_json(field: FieldDescriptor) -> ToJson | None:
    """Return what makes JSON of a value of the field, or None when the value is JSON already."""
    kind = field.type
    if kind == _F.TYPE_ENUM:
        return enum_to_json(enum_of(field))
    if kind == _F.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    if kind == _F.TYPE_DOUBLE:
        return float_to_json
    if kind == _F.TYPE_FLOAT:
        return lambda value: float_to_json(shortest_float(value))
    return str if is_64_bit(kind) else None


def enum_to_json(enum: EnumDescriptor) -> ToJson:
    """Return what makes the name of a number of the enum; an unknown number stays a number."""
    if enum.full_name == "google.protobuf.NullValue":
        return lambda _value: None
    names = {value.number: value.name for value in reversed(enum.values)}
    return lambda value: names.get(value, value)


def enum_number_to_json(enum: EnumDescriptor) -> ToJson:
    """Return what makes JSON of a number of the enum: the number, and null of NullValue."""
    return (lambda _value: None) if enum.full_name == "google.protobuf.NullValue" else int


def float_to_json(value: float) -> Any:
    """Return a float as Go's protojson spells it: `1` for 1.0, exponents from 1e21, NaN and infinities as strings."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return orjson.Fragment(b"-0") if math.copysign(1, value) < 0 else 0
    if 1e-4 <= abs(value) < 1e16:
        return int(value) if value.is_integer() else value
    return orjson.Fragment(_go_digits(value).encode())


def shortest_float(value: float) -> float:
    """Return the number with the fewest digits that is the same 32-bit float."""
    if not math.isfinite(value):
        return value
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        number = float(text)
        if abs(number) < _FLOAT_LIMIT and _as_float32(number) == value:
            return number
    return float(f"{value:.9g}")


def _as_float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _go_digits(value: float) -> str:
    mantissa, _, exponent = repr(value).partition("e")
    if 1e-6 <= abs(value) < 1e21:
        return f"{Decimal(repr(value)):f}" if abs(value) >= 1 else _fixed(value)
    if not exponent:
        mantissa, _, exponent = f"{value:e}".partition("e")
    power = int(exponent)
    # Go writes e-09 as e-9 and keeps the plus sign.
    return f"{mantissa.removesuffix('.0')}e{'-' if power < 0 else '+'}{abs(power):d}"


def _fixed(value: float) -> str:
    mantissa, _, exponent = repr(value).partition("e")
    digits = mantissa.lstrip("-").replace(".", "")
    zeros = -int(exponent) - 1 if exponent else 0
    return repr(value) if not exponent else f"{'-' if value < 0 else ''}0.{'0' * zeros}{digits}"


def scalar_from_json(field: FieldDescriptor) -> FromJson:
    """Return what makes a field's value of a JSON value, for all but enums and messages; it raises ValueInvalid."""
    kind = field.type
    bounds = integer_range(kind)
    if bounds is not None:
        return integer_from_json(*bounds)
    if kind in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
        return float_from_json if kind == _F.TYPE_DOUBLE else float32_from_json
    return {_F.TYPE_BOOL: bool_from_json, _F.TYPE_BYTES: bytes_from_json}.get(kind, string_from_json)


def string_from_json(value: Any) -> str:
    """Return the string of a JSON string."""
    if type(value) is not str:
        raise ValueInvalid("expected a string")
    return value


def bool_from_json(value: Any) -> bool:
    """Return the truth of a JSON true or false."""
    if type(value) is not bool:
        raise ValueInvalid("expected true or false")
    return value


def bytes_from_json(value: Any) -> bytes:
    """Return the bytes of a JSON string in base64, standard or URL-safe, padded or not."""
    if type(value) is not str:
        raise ValueInvalid("expected a base64 string")
    try:
        return decode_base64(value, url_safe="-" in value or "_" in value, padded=len(value) % 4 == 0)
    except ValueError:
        raise ValueInvalid("expected a base64 string") from None


def integer_from_json(low: int, high: int) -> FromJson:
    """Return what makes an integer of a JSON number, or of a string that holds one."""

    def convert(value: Any) -> int:
        number = _number(value) if type(value) is str else value
        if type(number) is float and number.is_integer():
            number = int(number)
        if type(number) is not int:
            raise ValueInvalid("expected an integer")
        if not low <= number <= high:
            raise ValueInvalid(f"expected an integer from {low} to {high}")
        return number

    return convert


def float_from_json(value: Any) -> float:
    """Return the float of a JSON number, of a string that holds one, or of NaN, Infinity and -Infinity."""
    number = _NOT_FINITE[value] if type(value) is str and value in _NOT_FINITE else value
    if type(number) is str:
        number = _number(number)
    if type(number) not in (int, float):
        raise ValueInvalid("expected a number")
    try:
        result = float(number)
    except OverflowError:
        raise ValueInvalid("the number is too large") from None
    if math.isinf(result) and not (type(value) is str and value in _NOT_FINITE):
        raise ValueInvalid("the number is too large")
    return result


def float32_from_json(value: Any) -> float:
    """Return the same as `float_from_json`, for a 32-bit float."""
    result = float_from_json(value)
    if not fits_float32(result):
        raise ValueInvalid("the number is too large")
    return result


def fits_float32(value: float) -> bool:
    """Return whether a number stays finite as a 32-bit float, or is not finite anyway."""
    return not math.isfinite(value) or abs(value) < _FLOAT_LIMIT


def _number(text: str) -> int | float:
    match = _NUMBER.fullmatch(text)
    if not match or len(text) > 400:
        raise ValueInvalid("expected a number")
    return float(text) if match[2] or match[3] else int(text)
