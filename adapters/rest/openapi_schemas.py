"""JSON Schemas (2020-12, as OpenAPI 3.1 uses them) of message types, as the codec reads and writes them."""

from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from parley.validation.v1 import validation_pb2

from adapters.rest import comments
from adapters.rest.annotations import is_output_only, is_required, limits
from adapters.rest.comments import Comments
from adapters.rest.fields import is_map, map_fields
from adapters.rest.scalars import integer_range, is_64_bit

Object = dict[str, Any]
STATUS = "google.rpc.Status"
STATUS_SCHEMA: Object = {
    "type": "object",
    "required": ["code", "message", "details"],
    "properties": {
        "code": {"type": "integer", "description": "The gRPC code."},
        "message": {"type": "string", "description": "What went wrong, in English."},
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["@type"],
                "properties": {"@type": {"type": "string"}},
                "additionalProperties": True,
            },
        },
    },
}
_FLOAT: Object = {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}
_INT64: Object = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_UINT64: Object = {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}
_UINT32: Object = {"type": "integer", "format": "uint32", "minimum": 0, "maximum": 2**32 - 1}
_WELL_KNOWN: dict[str, Object] = {
    "Timestamp": {"type": "string", "format": "date-time"},
    "Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?s$"},
    "FieldMask": {"type": "string", "description": "Field names with commas between them."},
    "Any": {"type": "object", "properties": {"@type": {"type": "string"}}, "additionalProperties": True},
    "Struct": {"type": "object", "additionalProperties": True},
    "Value": {},
    "ListValue": {"type": "array", "items": {}},
    "DoubleValue": _FLOAT,
    "FloatValue": _FLOAT,
    "Int64Value": _INT64,
    "UInt64Value": _UINT64,
    "Int32Value": {"type": "integer", "format": "int32"},
    "UInt32Value": _UINT32,
    "BoolValue": {"type": "boolean"},
    "StringValue": {"type": "string"},
    "BytesValue": {"type": "string", "contentEncoding": "base64"},
}
_FORMATS = {
    validation_pb2.FORMAT_UUID: "uuid",
    validation_pb2.FORMAT_EMAIL: "email",
    validation_pb2.FORMAT_URL: "uri",
}


class Schemas:
    """Collects the components that a document refers to."""

    def __init__(self, texts: Comments) -> None:
        """Take the comments, which become descriptions."""
        self._texts = texts
        self.components: dict[str, Object] = {}

    def message(self, descriptor: Descriptor) -> Object:
        """Return a schema of a message type: a reference, or the form of a well-known type."""
        package, _, name = descriptor.full_name.rpartition(".")
        if package == "google.protobuf" and name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[name])
        if descriptor.full_name not in self.components:
            self.components[descriptor.full_name] = {}
            self.components[descriptor.full_name] = self._object(descriptor, frozenset())
        return {"$ref": f"#/components/schemas/{descriptor.full_name}"}

    def without(self, descriptor: Descriptor, names: set[str]) -> Object:
        """Return a schema of a message type that lacks some fields, because the path gives them."""
        return self._object(descriptor, frozenset(names))

    def value(self, field: FieldDescriptor) -> Object:
        """Return a schema of what a request may put into a field, its limits included."""
        limit = limits(field)
        if is_map(field):
            entries: Object = {"type": "object", "additionalProperties": self.member(map_fields(field)[1])}
            return entries | ({"maxProperties": limit.max_items} if limit.max_items else {})
        one = self._single(field) | _text_limits(field, limit)
        if not field.is_repeated:
            return one
        items: Object = {"type": "array", "items": one}
        return items | ({"maxItems": limit.max_items} if limit.max_items else {})

    def member(self, field: FieldDescriptor) -> Object:
        """Return a schema of a field as it stands in an answer: an unset message is null."""
        schema = self.value(field)
        nullable = field.has_presence and field.message_type is not None and field.containing_oneof is None
        if not nullable or not schema:
            return schema
        return {"anyOf": [schema, {"type": "null"}]}

    def _object(self, descriptor: Descriptor, left_out: frozenset[str]) -> Object:
        properties: Object = {}
        required: list[str] = []
        for field in descriptor.fields:
            if field.name in left_out:
                continue
            schema = self.member(field)
            if text := described(field, comments.of(self._texts, field.full_name)):
                schema = {**schema, "description": text}
            if is_output_only(field):
                schema["readOnly"] = True
            properties[field.json_name] = schema
            if is_required(field):
                required.append(field.json_name)
        result: Object = {"type": "object", "properties": properties}
        if text := comments.of(self._texts, descriptor.full_name):
            result["description"] = text
        return result | ({"required": required} if required else {})

    def _enum(self, enum: EnumDescriptor) -> Object:
        if enum.full_name == "google.protobuf.NullValue":
            return {"type": "null"}
        if enum.full_name not in self.components:
            lines = [comments.of(self._texts, enum.full_name)]
            texts = {value.name: comments.of(self._texts, f"{enum.full_name}.{value.name}") for value in enum.values}
            lines += [f"- `{name}`: {text}" for name, text in texts.items() if text]
            schema: Object = {"type": "string", "enum": [value.name for value in enum.values]}
            self.components[enum.full_name] = schema | ({"description": "\n".join(lines)} if any(lines) else {})
        return {"$ref": f"#/components/schemas/{enum.full_name}"}

    def _single(self, field: FieldDescriptor) -> Object:
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        bounds = integer_range(field.type)
        if is_64_bit(field.type):
            return dict(_INT64 if bounds and bounds[0] else _UINT64)
        if bounds is not None:
            return {"type": "integer", "format": "int32"} if bounds[0] else dict(_UINT32)
        return dict(
            {
                FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
                FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
                FieldDescriptor.TYPE_DOUBLE: _FLOAT,
                FieldDescriptor.TYPE_FLOAT: _FLOAT,
            }.get(field.type, {"type": "string"})
        )


def described(field: FieldDescriptor, comment: str) -> str:
    """Return the comment of a field, and below it the limit that JSON Schema has no word for."""
    limit = limits(field)
    if not limit.max_bytes:
        return comment
    unit = "bytes" if field.type == FieldDescriptor.TYPE_BYTES else "bytes in UTF-8"
    return f"{comment}\n\nAt most {limit.max_bytes} {unit}.".strip()


def _text_limits(field: FieldDescriptor, limit: Any) -> Object:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string_limits(field, limit)
    if field.type == FieldDescriptor.TYPE_BYTES and limit.max_bytes:
        # Three bytes are four characters of base64, padded.
        return {"maxLength": -(-limit.max_bytes // 3) * 4, "x-max-bytes": limit.max_bytes}
    if integer_range(field.type) is None:
        return {}
    # JSON carries 64 bits as a string, for which there is no smallest number.
    prefix = "x-" if is_64_bit(field.type) else ""
    return {f"{prefix}{name}": getattr(limit, name) for name in ("minimum", "maximum") if limit.HasField(name)}


def _string_limits(field: FieldDescriptor, limit: Any) -> Object:
    found: Object = {}
    # An empty optional field always passes, so the least length and the format hold for required ones only.
    if limit.min_length and is_required(field):
        found["minLength"] = limit.min_length
    elif is_required(field) and not field.is_repeated:
        found["minLength"] = 1
    # maxLength counts characters, of which there are never more than bytes; the limit in bytes stands beside it.
    if longest := min(filter(None, (limit.max_length, limit.max_bytes)), default=0):
        found["maxLength"] = longest
    if limit.max_bytes:
        found["x-max-bytes"] = limit.max_bytes
    if limit.pattern:
        found["pattern"] = f"^(?:{limit.pattern})$" if is_required(field) else f"^(?:{limit.pattern})?$"
    if limit.format and is_required(field):
        found["format"] = _FORMATS[limit.format]
    return found
