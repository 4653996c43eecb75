"""Questions about a field's type that the descriptors answer in a roundabout way."""

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor


def message_of(field: FieldDescriptor) -> Descriptor:
    """Return the message type of a field that has one.

    Raises:
        TypeError: the field holds scalars.
    """
    if field.message_type is None:
        raise TypeError(f"{field.full_name} holds no messages")
    return field.message_type


def enum_of(field: FieldDescriptor) -> EnumDescriptor:
    """Return the enum type of a field that has one.

    Raises:
        TypeError: the field holds something else.
    """
    if field.enum_type is None:
        raise TypeError(f"{field.full_name} holds no enum")
    return field.enum_type


def is_map(field: FieldDescriptor) -> bool:
    """Return whether the field is a map."""
    return bool(field.is_repeated and field.message_type and field.message_type.GetOptions().map_entry)


def map_fields(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor]:
    """Return the key and the value of a map field."""
    entry = message_of(field).fields_by_name
    return entry["key"], entry["value"]
