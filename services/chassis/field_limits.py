"""The limits that the protos declare, compiled once per message type.

`google.api.field_behavior = REQUIRED` and `parley.validation.v1.limits` are the sources; see those protos.
"""

import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple
from uuid import UUID

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from parley.validation.v1 import validation_pb2

from services.chassis import texts

Violations = list[tuple[str, str]]
Check = Callable[[object], str | None]
"""Takes one value, returns what is wrong with it."""

MOST = 10
"""How many violations are told of: they travel in trailers, which have little room."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Of RFC 5321 without quoted local parts and address literals. Who keeps an address, looks closer.
_EMAIL = re.compile(r"""[^@\s"(),:;<>\[\]\\]{1,64}@[^@\s."(),:;<>\[\]\\]+(\.[^@\s."(),:;<>\[\]\\]+)+""")
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*")


class _Rule(NamedTuple):
    """What holds for one field. `keys` is for the keys of a map."""

    field: FieldDescriptor
    required: bool
    max_items: int
    values: tuple[Check, ...]
    keys: tuple[Check, ...] | None = None


def violations(message: Message) -> Violations:
    """Return the fields of `message` that break their limits, as (field path, what is wrong); at most MOST of them."""
    found: Violations = []
    _collect(message, "", found)
    return found[:MOST]


def _collect(message: Message, prefix: str, found: Violations) -> None:
    for rule in _plan(message.DESCRIPTOR):
        if len(found) >= MOST:
            return
        path = prefix + rule.field.name
        value = getattr(message, rule.field.name)
        if _is_empty(message, rule.field, value):
            if rule.required:
                found.append((path, "is required"))
        elif rule.max_items and len(value) > rule.max_items:
            found.append((path, f"must have at most {rule.max_items} elements"))
        elif rule.keys is not None:
            _collect_entries(value, rule, path, found)
        elif rule.field.is_repeated:
            for index, one in enumerate(value):
                _judge(one, rule.values, f"{path}[{index}]", found)
        else:
            _judge(value, rule.values, path, found)


def _collect_entries(entries: Mapping[object, object], rule: _Rule, path: str, found: Violations) -> None:
    for key, value in entries.items():
        wrong = next((wrong for check in rule.keys or () if (wrong := check(key))), None)
        if wrong:
            found.append((path, f"a key {wrong}"))
        else:
            _judge(value, rule.values, f"{path}.{key}" if _PLAIN_KEY.fullmatch(str(key)) else path, found)


def _judge(value: object, checks: tuple[Check, ...], place: str, found: Violations) -> None:
    if len(found) >= MOST:
        return
    if isinstance(value, Message):
        _collect(value, f"{place}.", found)
    elif wrong := next((wrong for check in checks if (wrong := check(value))), None):
        found.append((place, wrong))


def _is_empty(message: Message, field: FieldDescriptor, value: object) -> bool:
    if field.has_presence:
        # An explicit empty string in an optional field is a wish to clear it; only its absence is emptiness.
        return not message.HasField(field.name)
    return not value


@cache
def _plan(descriptor: Descriptor) -> tuple[_Rule, ...]:
    return tuple(rule for field in descriptor.fields if (rule := _rule(field)))


def _rule(field: FieldDescriptor) -> _Rule | None:
    options = field.GetOptions()
    required = field_behavior_pb2.REQUIRED in options.Extensions[field_behavior_pb2.field_behavior]
    limits = _OF_GOOGLE.get(field.full_name) or options.Extensions[validation_pb2.limits]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        # The limits of a map hold for its keys too.
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        keys = _checks(key, limits, texts.ONE_LINE)
        return _Rule(field, required, limits.max_items, _checks(value, limits, limits.text), keys)
    checks = _checks(field, limits, limits.text)
    if required or checks or limits.max_items or field.message_type is not None:
        return _Rule(field, required, limits.max_items, checks)
    return None


def _checks(
    field: FieldDescriptor, limits: validation_pb2.FieldLimits, text: "validation_pb2.Text.ValueType"
) -> tuple[Check, ...]:
    checks: list[Check] = []
    if field.enum_type is not None:
        checks.append(_defined(field.enum_type))
    if field.type == FieldDescriptor.TYPE_STRING:
        checks.append(lambda value: texts.problem_of(value, text))  # type: ignore[arg-type]
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        # NaN is neither less nor more than a limit.
        checks.append(_when(lambda v: not math.isfinite(v), "must be a finite number"))
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
    return tuple(checks)


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

_OF_GOOGLE = {
    # Google's own types carry no limits of ours. The ranges are those that timestamp.proto and duration.proto state.
    "google.protobuf.FieldMask.paths": validation_pb2.FieldLimits(max_items=100, max_length=200),
    "google.protobuf.Timestamp.seconds": validation_pb2.FieldLimits(minimum=-62135596800, maximum=253402300799),
    "google.protobuf.Timestamp.nanos": validation_pb2.FieldLimits(minimum=0, maximum=999999999),
    "google.protobuf.Duration.seconds": validation_pb2.FieldLimits(minimum=-315576000000, maximum=315576000000),
    "google.protobuf.Duration.nanos": validation_pb2.FieldLimits(minimum=-999999999, maximum=999999999),
}
