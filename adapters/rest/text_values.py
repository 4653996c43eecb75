"""Reads values out of paths and query strings, as Go's strconv does for grpc-gateway."""

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from adapters.rest.failures import ValueInvalid
from adapters.rest.fields import enum_of, message_of
from adapters.rest.go_texts import bad_number, bad_time, corrupt_base64, quoted
from adapters.rest.scalars import float32_from_json, float_from_json, integer_range
from adapters.rest.well_known import WRAPPERS

FromText = Callable[[str], Any]
Put = Callable[[Any, str], None]
"""Takes a message and a text, and puts the value into the message's field (or adds it, when it is a list)."""

_DECIMAL = re.compile(r"[+-]?[0-9]{1,40}")
_ANY_BASE = re.compile(r"[+-]?(0[xX](_?[0-9a-fA-F])+|0[bB](_?[01])+|0[oO]?(_?[0-7])+|0|[1-9](_?[0-9])*)")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity)|nan", re.IGNORECASE)
_TRUE, _FALSE = {"1", "t", "T", "TRUE", "true", "True"}, {"0", "f", "F", "FALSE", "false", "False"}
_DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_NANOS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def put_text(field: FieldDescriptor, *, any_base: bool) -> Put | None:
    """Return what reads one text into a field, or None when a text cannot hold the field's type.

    `any_base` is Go's base 0 (0x10, 0b1, 1_000), which top-level path parameters get.
    """
    name = field.name
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _put_message(field, any_base=any_base)
    convert = _scalar(field, any_base=any_base)

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


def _put_message(field: FieldDescriptor, *, any_base: bool) -> Put | None:
    kind = message_of(field).full_name
    if kind in WRAPPERS:
        inner = put_text(message_of(field).fields_by_name["value"], any_base=any_base)
    else:
        inner = {
            "google.protobuf.Timestamp": _put_timestamp,
            "google.protobuf.Duration": _put_json_text if any_base else _put_duration,
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


def _scalar(field: FieldDescriptor, *, any_base: bool) -> FromText:
    bounds = integer_range(field.type)
    if bounds is not None:
        return _integer(*bounds, any_base=any_base)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return _enum(enum_of(field), in_path=any_base)
    kinds: dict[int, FromText] = {
        FieldDescriptor.TYPE_BOOL: _bool,
        FieldDescriptor.TYPE_BYTES: _bytes,
        FieldDescriptor.TYPE_DOUBLE: lambda text: float_from_json(_float(text)),
        FieldDescriptor.TYPE_FLOAT: lambda text: float32_from_json(_float(text)),
    }
    return kinds.get(field.type, str)


def _integer(low: int, high: int, *, any_base: bool) -> FromText:
    pattern = _ANY_BASE if any_base else _DECIMAL
    function = "ParseUint" if low == 0 else "ParseInt"

    def convert(text: str) -> int:
        if len(text) > 80 or not pattern.fullmatch(text) or (low == 0 and text[0] in "+-"):
            raise ValueInvalid(f"{text[:100]!r} is not an integer", go=bad_number(function, text))
        plain = text.lstrip("+-")
        old_octal = any_base and len(plain) > 1 and plain[0] == "0" and plain[1] in "_01234567"
        number = int(text.replace("_", ""), 8) if old_octal else int(text, 0 if any_base else 10)
        if not low <= number <= high:
            problem = f"{text!r} is not in the range {low} to {high}"
            raise ValueInvalid(problem, go=bad_number(function, text, out_of_range=True))
        return number

    return convert


def _enum(enum: EnumDescriptor, *, in_path: bool) -> FromText:
    numbers = {value.name: value.number for value in enum.values} | {
        str(value.number): value.number for value in enum.values
    }

    def convert(text: str) -> int:
        if text not in numbers:
            problem = f"{text[:100]!r} is not one of {', '.join(value.name for value in enum.values)}"
            raise ValueInvalid(
                problem, go=f"{text} is not valid" if in_path else f"{quoted(text)} is not a valid value"
            )
        return numbers[text]

    return convert


def _bool(text: str) -> bool:
    if text not in _TRUE and text not in _FALSE:
        raise ValueInvalid(f"{text[:100]!r} is neither true nor false", go=bad_number("ParseBool", text))
    return text in _TRUE


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueInvalid(f"{text[:100]!r} is not base64", go=corrupt_base64(text)) from None


def _float(text: str) -> Any:
    if not _FLOAT.fullmatch(text):
        raise ValueInvalid(f"{text[:100]!r} is not a number", go=bad_number("ParseFloat", text))
    number = float(text)
    if number in (float("inf"), float("-inf")) and "n" not in text.lower():
        problem = f"{text[:100]!r} is too large"
        raise ValueInvalid(problem, go=bad_number("ParseFloat", text, out_of_range=True))
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(number), number)


def _put_timestamp(message: Any, text: str) -> None:
    try:
        message.FromJsonString(text.strip('"'))
    except (ValueError, OverflowError):
        problem = f"{text[:100]!r} is not a time such as 2026-01-31T12:00:00Z"
        raise ValueInvalid(problem, go=bad_time(text)) from None


def _put_json_text(message: Any, text: str) -> None:
    try:
        message.FromJsonString(text.strip('"'))
    except (ValueError, OverflowError):
        raise ValueInvalid(f"{text[:100]!r} is not a duration such as 1.5s") from None


def _put_duration(message: Any, text: str) -> None:
    body = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    parts = _DURATION_PART.findall(body)
    if body != "0" and (not parts or len(text) > 80 or "".join(number + unit for number, unit in parts) != body):
        problem = f"{text[:100]!r} is not a duration such as 1h30m or 1.5s"
        raise ValueInvalid(problem, go=f"time: invalid duration {quoted(text)}")
    nanos = sum(round(float(number) * _NANOS[unit]) for number, unit in parts)
    message.FromNanoseconds(-nanos if text.startswith("-") else nanos)


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
