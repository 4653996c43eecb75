"""The limits that the protos declare, compiled once per message type.

`google.api.field_behavior = REQUIRED` and `parley.validation.v1.limits` are the sources; see those protos.
"""

import re
from collections.abc import Callable
from functools import cache
from uuid import UUID

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from parley.validation.v1 import validation_pb2

Violations = list[tuple[str, str]]
Check = Callable[[object], str | None]
"""Takes one value, returns what is wrong with it."""

_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s.]+(\.[^@\s.]+)+")
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*")


def violations(message: Message) -> Violations:
    """Return every field of `message` that breaks its limits, as (field path, what is wrong)."""
    found: Violations = []
    _collect(message, "", found)
    return found


def _collect(message: Message, prefix: str, found: Violations) -> None:
    for field, required, max_items, checks in _plan(message.DESCRIPTOR):
        path = prefix + field.name
        values, is_empty = _values(message, field)
        if is_empty:
            if required:
                found.append((path, "is required"))
            continue
        if max_items and len(getattr(message, field.name)) > max_items:
            found.append((path, f"must have at most {max_items} elements"))
            continue
        for index, value in enumerate(values):
            place = f"{path}[{index}]" if field.is_repeated else path
            if isinstance(value, Message):
                _collect(value, f"{place}.", found)
            else:
                found.extend((place, wrong) for check in checks if (wrong := check(value)))


def _values(message: Message, field: FieldDescriptor) -> tuple[list[object], bool]:
    value = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            # The limits of a map hold for its keys too.
            return [*value, *value.values()], not value
        return list(value), not value
    if field.has_presence:
        # An explicit empty string in an optional field is a wish to clear it; only its absence is emptiness.
        return [value], not message.HasField(field.name)
    return [value], not value


@cache
def _plan(descriptor: Descriptor) -> tuple[tuple[FieldDescriptor, bool, int, tuple[Check, ...]], ...]:
    plan = []
    for field in descriptor.fields:
        options = field.GetOptions()
        required = field_behavior_pb2.REQUIRED in options.Extensions[field_behavior_pb2.field_behavior]
        limits = options.Extensions[validation_pb2.limits]
        checks = tuple(_checks(field, limits))
        if required or checks or limits.max_items or field.message_type is not None:
            plan.append((field, required, limits.max_items, checks))
    return tuple(plan)


def _checks(field: FieldDescriptor, limits: validation_pb2.FieldLimits) -> list[Check]:
    checks: list[Check] = []
    if field.enum_type is not None:
        checks.append(_defined(field.enum_type))
    if field.type == FieldDescriptor.TYPE_STRING:
        # PostgreSQL stores no NUL in a text.
        checks.append(_when(lambda v: "\x00" in v, "must not contain the character NUL"))
    if limits.min_length:
        checks.append(_when(lambda v: len(v) < limits.min_length, f"must have at least {limits.min_length} characters"))
    if limits.max_length:
        checks.append(_when(lambda v: len(v) > limits.max_length, f"must have at most {limits.max_length} characters"))
    if limits.max_bytes:
        checks.append(_when(lambda v: _size(v) > limits.max_bytes, f"must have at most {limits.max_bytes} bytes"))
    if field.is_repeated and (limits.pattern or limits.format):
        # Alone, an empty text is one that was not given; as an element it is a wrong one.
        checks.append(_when(lambda v: not v, "must not be empty"))
    if limits.pattern:
        pattern = re.compile(limits.pattern)
        checks.append(_when(lambda v: bool(v) and not pattern.fullmatch(v), f"must match {limits.pattern}"))
    if limits.HasField("minimum"):
        checks.append(_when(lambda v: v < limits.minimum, f"must be at least {limits.minimum}"))
    if limits.HasField("maximum"):
        checks.append(_when(lambda v: v > limits.maximum, f"must be at most {limits.maximum}"))
    if limits.format in _FORMATS:
        checks.append(_FORMATS[limits.format])
    return checks


def _when(broken: Callable[..., bool], description: str) -> Check:
    return lambda value: description if broken(value) else None


def _size(value: object) -> int:
    return len(value.encode() if isinstance(value, str) else value)  # type: ignore[arg-type]


def _defined(enum: EnumDescriptor) -> Check:
    return _when(lambda v: v not in enum.values_by_number, f"is not a value of {enum.full_name}")


def _is_uuid(value: str) -> bool:
    try:
        return str(UUID(value)) == value.lower()
    except ValueError:
        return False


_FORMATS: dict[int, Check] = {
    validation_pb2.FORMAT_UUID: _when(lambda v: bool(v) and not _is_uuid(v), "must be a UUID"),
    validation_pb2.FORMAT_EMAIL: _when(lambda v: bool(v) and not _EMAIL.fullmatch(v), "must be an e-mail address"),
    validation_pb2.FORMAT_URL: _when(lambda v: bool(v) and not _URL.fullmatch(v), "must be an http or https URL"),
}
