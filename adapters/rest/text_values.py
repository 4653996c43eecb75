"""Reads values out of paths and query strings, as Go's strconv does for grpc-gateway."""

import json
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from adapters.rest.failures import ValueInvalid
from adapters.rest.fields import enum_of, message_of
from adapters.rest.go_numbers import OutOfRange, decode_base64, parse_float, parse_integer
from adapters.rest.go_texts import bad_number, bad_time, corrupt_base64, quoted
from adapters.rest.go_times import parse_go_duration, parse_json_duration, parse_json_time, parse_time
from adapters.rest.scalars import fits_float32, integer_range
from adapters.rest.well_known import WRAPPERS

FromText = Callable[[str], Any]
Put = Callable[[Any, str], None]
"""Takes a message and a text, and puts the value into the message's field (or adds it, when it is a list)."""

_TRUE, _FALSE = {"1", "t", "T", "TRUE", "true", "True"}, {"0", "f", "F", "FALSE", "false", "False"}
_INT32 = (-(2**31), 2**31 - 1)


def put_text(field: FieldDescriptor, *, in_path: bool) -> Put | None:
    """Return what reads one text into a field, or None when a text cannot hold the field's type.

    `in_path` is for top-level path parameters: grpc-gateway reads their times and durations as JSON has them.
    """
    name = field.name
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _put_message(field, in_path=in_path)
    convert = _scalar(field, in_path=in_path)

    def put(message: Any, text: str) -> None:
        value = convert(text)
        try:
            if field.is_repeated:
                getattr(message, name).append(value)
            else:
                setattr(message, name, value)
        except ValueError:
            raise ValueInvalid("the value is not valid here") from None

    return put


def _put_message(field: FieldDescriptor, *, in_path: bool) -> Put | None:
    kind = message_of(field).full_name
    if kind in WRAPPERS:
        inner = put_text(message_of(field).fields_by_name["value"], in_path=in_path)
    else:
        inner = {
            "google.protobuf.Timestamp": _put_json_time if in_path else _put_time,
            "google.protobuf.Duration": _put_json_duration if in_path else _put_duration,
            "google.protobuf.FieldMask": _put_field_mask,
            "google.protobuf.Value": _put_json,
            "google.protobuf.Struct": _put_json,
            "google.protobuf.Empty": _put_empty,
        }.get(kind)
    if inner is None:
        return None
    name, fill = field.name, inner

    def put(message: Any, text: str) -> None:
        part = getattr(message, name)
        part = part.add() if field.is_repeated else part
        part.SetInParent()
        fill(part, text)

    return put


def _scalar(field: FieldDescriptor, *, in_path: bool) -> FromText:
    bounds = integer_range(field.type)
    if bounds is not None:
        return _integer(*bounds)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _enum(enum_of(field), in_path=in_path)
    kinds: dict[int, FromText] = {
        FieldDescriptor.TYPE_BOOL: _bool,
        FieldDescriptor.TYPE_BYTES: _bytes,
        FieldDescriptor.TYPE_DOUBLE: _float,
        FieldDescriptor.TYPE_FLOAT: _float32,
    }
    return kinds.get(field.type, str)


def _integer(low: int, high: int) -> FromText:
    function = "ParseUint" if low == 0 else "ParseInt"

    def convert(text: str) -> int:
        try:
            return parse_integer(text, low, high)
        except OutOfRange:
            problem = f"{text[:100]!r} is not in the range {low} to {high}"
            raise ValueInvalid(problem, go=bad_number(function, text, out_of_range=True)) from None
        except ValueError:
            raise ValueInvalid(f"{text[:100]!r} is not an integer", go=bad_number(function, text)) from None

    return convert


def _enum(enum: EnumDescriptor, *, in_path: bool) -> FromText:
    numbers = {value.name: value.number for value in enum.values}
    declared = frozenset(numbers.values())

    def convert(text: str) -> int:
        if text in numbers:
            return numbers[text]
        try:
            number = parse_integer(text, *_INT32)
        except ValueError:
            number = None
        if number is None or number not in declared:
            problem = f"{text[:100]!r} is not one of {', '.join(numbers)}"
            go = f"{text} is not valid" if in_path else f"{quoted(text)} is not a valid value"
            raise ValueInvalid(problem, go=go)
        return number

    return convert


def _bool(text: str) -> bool:
    if text not in _TRUE and text not in _FALSE:
        raise ValueInvalid(f"{text[:100]!r} is neither true nor false", go=bad_number("ParseBool", text))
    return text in _TRUE


def _bytes(text: str) -> bytes:
    try:
        return decode_base64(text, url_safe="-" in text or "_" in text)
    except ValueError:
        raise ValueInvalid(f"{text[:100]!r} is not base64", go=corrupt_base64(text)) from None


def _float(text: str) -> float:
    try:
        return parse_float(text)
    except OutOfRange:
        raise _too_large(text) from None
    except ValueError:
        raise ValueInvalid(f"{text[:100]!r} is not a number", go=bad_number("ParseFloat", text)) from None


def _float32(text: str) -> float:
    number = _float(text)
    if not fits_float32(number):
        raise _too_large(text)
    return number


def _too_large(text: str) -> ValueInvalid:
    return ValueInvalid(f"{text[:100]!r} is too large", go=bad_number("ParseFloat", text, out_of_range=True))


def _put_time(message: Any, text: str) -> None:
    try:
        message.seconds, message.nanos = parse_time(text)
    except ValueError:
        raise _no_time(text) from None


def _put_json_time(message: Any, text: str) -> None:
    try:
        message.seconds, message.nanos = parse_json_time(text.strip('"'))
    except ValueError:
        raise _no_time(text) from None


def _no_time(text: str) -> ValueInvalid:
    return ValueInvalid(f"{text[:100]!r} is not a time such as 2026-01-31T12:00:00Z", go=bad_time(text))


def _put_json_duration(message: Any, text: str) -> None:
    try:
        message.seconds, message.nanos = parse_json_duration(text.strip('"'))
    except ValueError:
        raise ValueInvalid(f"{text[:100]!r} is not a duration such as 1.5s") from None


def _put_duration(message: Any, text: str) -> None:
    try:
        message.FromNanoseconds(parse_go_duration(text))
    except ValueError:
        problem = f"{text[:100]!r} is not a duration such as 1h30m or 1.5s"
        raise ValueInvalid(problem, go=f"time: invalid duration {quoted(text)}") from None


def _put_field_mask(message: Any, text: str) -> None:
    message.Clear()  # the mask that a PATCH got from its body gives way to the one of the query
    message.paths.extend(text.split(","))


def _put_empty(_message: Any, text: str) -> None:
    if text not in ("", "{}"):
        raise ValueInvalid(f"{text[:100]!r} is not empty", go=f'expected an empty value or "{{}}", got {quoted(text)}')


def _put_json(message: Any, text: str) -> None:
    try:
        json_format.ParseDict(json.loads(text), message)
    except (ValueError, json_format.ParseError, RecursionError):
        raise ValueInvalid(f"{text[:100]!r} is not JSON") from None
