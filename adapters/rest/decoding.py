"""Compiles, per message type, what fills a message from JSON. Unknown fields are ignored, wrong ones are named."""

from collections.abc import Callable, Container
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from adapters.rest.dialect import Dialect
from adapters.rest.duplicate_keys import Doubled, refuse
from adapters.rest.failures import ValueInvalid
from adapters.rest.fields import enum_of, is_map, map_fields, message_of
from adapters.rest.scalars import FromJson, scalar_from_json

Fill = Callable[[Any, Any], None]
"""Takes a message and a JSON value, and puts the value into the message."""

WellKnownFill = Callable[[Descriptor], Fill | None]
_MESSAGE_TYPES = (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP)
_IGNORED = object()
_TAKES_NULL = ("google.protobuf.Value", "google.protobuf.NullValue")


class Decoders:
    """The compiled types. A type is compiled once, when it is first asked for."""

    def __init__(self, well_known: WellKnownFill, dialect: Dialect) -> None:
        """Take what knows the types with a JSON form of their own, and how strict to be."""
        self._well_known = well_known
        self._dialect = dialect
        self._compiled: dict[str, Fill] = {}

    def of(self, descriptor: Descriptor) -> Fill:
        """Return what fills a message of the type; it raises ValueInvalid with the path of the field."""
        name = descriptor.full_name
        if name not in self._compiled:
            special = self._well_known(descriptor)
            if special is not None:
                self._compiled[name] = special
            else:
                # A type may hold itself: the entry is there before its fields are compiled.
                self._compiled[name] = self._later(name)
                self._compiled[name] = self._message(descriptor)
        return self._compiled[name]

    def _later(self, name: str) -> Fill:
        def fill(message: Any, value: Any) -> None:
            self._compiled[name](message, value)

        return fill

    def of_field(self, field: FieldDescriptor) -> Fill:
        """Return what puts a JSON value into one field of a message that holds it. Null leaves the field unset."""
        inner = self._map(field) if is_map(field) else self._list(field) if field.is_repeated else self._single(field)
        return inner if takes_null(field) else lambda message, value: None if value is None else inner(message, value)

    def _message(self, descriptor: Descriptor) -> Fill:
        strict = self._dialect.strict or not self._dialect.discard_unknown
        table: dict[str, tuple[Fill, str, str]] = {}
        for field in descriptor.fields:
            oneof = field.containing_oneof.name if field.containing_oneof is not None else ""
            fill = self.of_field(field)
            table[field.name] = (fill, oneof, field.json_name if field.json_name != field.name else "")
            table[field.json_name] = (fill, oneof, "")

        def fill_message(message: Any, value: Any) -> None:
            if type(value) is not dict:
                _check_doubled(value, table)
            for name, item in value.items():
                entry = table.get(name)
                if entry is None:
                    if strict:
                        raise ValueInvalid("there is no such field", name, go=f'proto: unknown field "{name[:100]}"')
                    continue
                fill, oneof, twin = entry
                if twin and twin in value:
                    raise ValueInvalid("given twice", name)
                if oneof and item is not None and message.WhichOneof(oneof) is not None:
                    raise ValueInvalid(f'field already set for oneof "{oneof}"', name)
                try:
                    fill(message, item)
                except ValueInvalid as error:
                    raise error.inside(name) from None

        return fill_message

    def _single(self, field: FieldDescriptor) -> Fill:
        name = field.name
        if field.type in _MESSAGE_TYPES:
            fill = self.of(message_of(field))

            def fill_submessage(message: Any, value: Any) -> None:
                part = getattr(message, name)
                part.SetInParent()
                fill(part, value)

            return fill_submessage
        convert = self._scalar(field)

        def fill_scalar(message: Any, value: Any) -> None:
            converted = convert(value)
            if converted is not _IGNORED:
                guarded(setattr, message, name, converted)

        return fill_scalar

    def _list(self, field: FieldDescriptor) -> Fill:
        name = field.name
        fill = self.of(message_of(field)) if field.type in _MESSAGE_TYPES else None
        convert = None if fill else self._scalar(field)

        def fill_list(message: Any, value: Any) -> None:
            if type(value) is not list:
                raise ValueInvalid("expected a list")
            target = getattr(message, name)
            for index, item in enumerate(value):
                try:
                    if fill is not None:
                        fill(target.add(), item)
                    elif convert is not None and (converted := convert(item)) is not _IGNORED:
                        guarded(target.append, converted)
                except ValueInvalid as error:
                    raise error.inside(f"[{index}]") from None

        return fill_list

    def _map(self, field: FieldDescriptor) -> Fill:
        name = field.name
        key_field, value_field = map_fields(field)
        to_key = scalar_from_json(key_field)
        bool_keys = key_field.type == FieldDescriptor.TYPE_BOOL
        fill = self.of(message_of(value_field)) if value_field.type in _MESSAGE_TYPES else None
        convert = None if fill else self._scalar(value_field)

        def put(target: Any, text: str, item: Any) -> None:
            key = to_key({"true": True, "false": False}.get(text, text) if bool_keys else text)
            if fill is not None:
                fill(target[key], item)
            elif convert is not None and (converted := convert(item)) is not _IGNORED:
                guarded(target.__setitem__, key, converted)

        def fill_map(message: Any, value: Any) -> None:
            if type(value) is not dict:
                _check_doubled(value, None)
            target = getattr(message, name)
            for text, item in value.items():
                try:
                    put(target, text, item)
                except ValueInvalid as error:
                    raise error.inside(f"[{text}]") from None

        return fill_map

    def _scalar(self, field: FieldDescriptor) -> FromJson:
        if field.type == FieldDescriptor.TYPE_ENUM:
            return enum_from_json(enum_of(field), self._dialect)
        return scalar_from_json(field)


def _check_doubled(value: Any, known: Container[str] | None) -> None:
    """Let an object pass whose doubled keys are not among the known ones; without those, every key is known."""
    if not isinstance(value, Doubled):
        raise ValueInvalid("expected an object")
    for name in value.names:
        if known is None or name in known:
            raise refuse(name)


def takes_null(field: FieldDescriptor) -> bool:
    """Return whether JSON null is a value of the field and does not leave it unset."""
    kind = field.message_type or field.enum_type
    return kind is not None and kind.full_name in _TAKES_NULL and not field.is_repeated


def enum_from_json(enum: EnumDescriptor, dialect: Dialect) -> FromJson:
    """Return what makes an enum number of a name or a number."""
    numbers = {value.name: value.number for value in enum.values}
    is_null = enum.full_name == "google.protobuf.NullValue"

    def convert(value: Any) -> Any:
        if value is None and is_null:
            return 0
        if type(value) is str:
            number = numbers.get(value)
            if number is not None:
                return number
            if dialect.discard_unknown and not dialect.unknown_enum_names_fail:
                return _IGNORED
            raise ValueInvalid(f"{value[:100]!r} is not one of {', '.join(numbers)}")
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is int and -(2**31) <= value < 2**31:
            return value
        raise ValueInvalid("expected the name of an enum value")

    return convert


def guarded(store: Callable[..., Any], *arguments: Any) -> None:
    """Call what puts a value into a message, and raise ValueInvalid when protobuf refuses it."""
    # protobuf refuses what JSON can spell and proto cannot hold: lone surrogates, numbers of a closed enum.
    try:
        store(*arguments)
    except (ValueError, TypeError):
        raise ValueInvalid("the value is not valid here") from None
