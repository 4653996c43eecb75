"""Compiles, per message type, what makes JSON of a message: grpc-gateway's defaults, in declaration order."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from adapters.rest.dialect import Dialect
from adapters.rest.fields import enum_of, is_map, map_fields, message_of
from adapters.rest.scalars import ToJson, enum_number_to_json, scalar_to_json

WellKnown = Callable[[Descriptor], ToJson | None]
_MESSAGE_TYPES = (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP)
_OMITTED = object()


class Encoders:
    """The compiled types. A type is compiled once, when it is first asked for."""

    def __init__(self, well_known: WellKnown, dialect: Dialect) -> None:
        """Take what knows the types with a JSON form of their own, and which names and numbers to use."""
        self._dialect = dialect
        self._well_known = well_known
        self._compiled: dict[str, ToJson] = {}

    def of(self, descriptor: Descriptor) -> ToJson:
        """Return what makes a JSON-able object of a message of the type."""
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

    def _later(self, name: str) -> ToJson:
        def encode(message: Any) -> Any:
            return self._compiled[name](message)

        return encode

    def of_field(self, field: FieldDescriptor) -> ToJson:
        """Return what makes JSON of a field's value, whole lists and maps included."""
        if field.is_repeated:
            return self._map(field) if is_map(field) else self._list(field)
        return self._single(field) or (lambda value: value)

    def _single(self, field: FieldDescriptor) -> ToJson | None:
        if field.type in _MESSAGE_TYPES:
            return self.of(message_of(field))
        if field.type == FieldDescriptor.TYPE_ENUM and self._dialect.enum_numbers:
            return enum_number_to_json(enum_of(field))
        return scalar_to_json(field)

    def _list(self, field: FieldDescriptor) -> ToJson:
        one = self._single(field)
        return list if one is None else lambda values: [one(value) for value in values]

    def _map(self, field: FieldDescriptor) -> ToJson:
        key_field, value_field = map_fields(field)
        one = self._single(value_field) or (lambda value: value)
        is_bool = key_field.type == FieldDescriptor.TYPE_BOOL
        key_text: ToJson = (lambda key: "true" if key else "false") if is_bool else str
        return lambda values: {key_text(key): one(values[key]) for key in sorted(values)}

    def _message(self, descriptor: Descriptor) -> ToJson:
        fields = list(descriptor.fields)
        names = {field.number: field.name if self._dialect.proto_names else field.json_name for field in fields}
        blank = {names[field.number]: self._unset(field) for field in fields}
        omitted = tuple(name for name, value in blank.items() if value is _OMITTED)
        table: dict[int, tuple[str, ToJson | None]] = {
            field.number: (names[field.number], self._field(field)) for field in fields
        }

        def encode(message: Any) -> dict[str, Any]:
            result = blank.copy()
            for field, value in message.ListFields():
                entry = table.get(field.number)
                if entry is not None:
                    name, convert = entry
                    result[name] = value if convert is None else convert(value)
            for name in omitted:
                if result[name] is _OMITTED:
                    del result[name]
            return result

        return encode

    def _unset(self, field: FieldDescriptor) -> Any:
        if not self._dialect.emit_unpopulated and (not self._dialect.emit_default_values or is_nullable(field)):
            return _OMITTED
        return unset_json(field, None if field.type in _MESSAGE_TYPES else self._single(field))

    def _field(self, field: FieldDescriptor) -> ToJson | None:
        return self.of_field(field) if field.is_repeated else self._single(field)


def is_nullable(field: FieldDescriptor) -> bool:
    """Return whether the unset field has no value: a message, a member of a oneof or an optional scalar."""
    return field.has_presence and not field.is_repeated


def unset_json(field: FieldDescriptor, convert: ToJson | None) -> Any:
    """Return what an unset field looks like: a zero, an empty list or map, null, or a mark that it is left out."""
    if field.is_repeated:
        return {} if is_map(field) else []
    if field.has_presence:
        return None if field.containing_oneof is None else _OMITTED
    return field.default_value if convert is None else convert(field.default_value)
