"""Words what is wrong with a JSON value as Go's protojson does, with line and column. Runs only after a refusal."""

import json
import re

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from adapters.rest.duplicate_keys import second_place
from adapters.rest.failures import ValueInvalid
from adapters.rest.fields import is_map
from adapters.rest.query import field_named

_PARTS = re.compile(r"\[[^\]]*(?:\]|$)|[^.\[]+")
_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{\[]|[^ \t\r\n{}\[\],:]+')
_NAMES = "double float int32 int64 uint32 uint64 sint32 sint64 fixed32 fixed64 sfixed32 sfixed64 bool string bytes enum"
_KINDS = {getattr(FieldDescriptor, f"TYPE_{name.upper()}"): name for name in _NAMES.split(" ")}
_decoder = json.JSONDecoder()


def explain(error: ValueInvalid, data: bytes, body_type: Descriptor | None) -> str:
    """Return protojson's text for a value that was refused, unless the refusal has a Go text of its own."""
    if error.go.startswith("proto: duplicate field"):
        return error.go.replace("proto: ", f"proto: {second_place(data.decode('utf-8', 'replace'))}", 1)
    if error.go != error.problem or body_type is None or error.problem.startswith("could not find field"):
        return error.go
    text = data.decode("utf-8", "replace")
    parts = _PARTS.findall(error.path)
    of_oneof = error.problem.startswith("field already set")
    at = _place(text, parts, key=of_oneof)
    match = _TOKEN.match(text, at)
    token = match[0] if match else ""
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    field = _field(body_type, parts)
    place = f"(line {line}:{column})"
    if field is None or (field.message_type is None and field.is_repeated and not parts[-1].startswith("[")):
        return f"proto: syntax error {place}: unexpected token {token}"
    if of_oneof:
        oneof = field.containing_oneof
        return f"proto: {place}: error parsing {token}, oneof {oneof.full_name if oneof else ''} is already set"
    if field.message_type is not None:
        kind = field.message_type.full_name
        if kind.startswith("google.protobuf.") and token.startswith('"'):
            return f"proto: {place}: invalid {kind} value {token}"
        return f"proto: syntax error {place}: unexpected token {token}"
    return f"proto: {place}: invalid value for {_KINDS.get(field.type, '')} field {field.json_name}: {token}"


def _field(body_type: Descriptor, parts: list[str]) -> FieldDescriptor | None:
    field: FieldDescriptor | None = None
    owner: Descriptor | None = body_type
    for part in parts:
        if part.startswith("["):
            if field is not None and is_map(field) and field.message_type is not None:
                field = field.message_type.fields_by_name["value"]
                owner = field.message_type
            continue
        field = field_named(owner, part) if owner is not None else None
        owner = field.message_type if field is not None else None
    return field


def _place(text: str, parts: list[str], *, key: bool) -> int:
    """Return where the value (or the key before it) at the end of a path is."""
    at = before = _skip(text, 0)
    try:
        for part in parts:
            if text[at] == "[":
                at = before = _item(text, at, int(part[1:-1]))
            else:
                before, at = _member(text, at, part.strip("[]"))
    except (ValueError, IndexError, RecursionError):
        pass  # the nearest place that was found will do
    return before if key else at


def _member(text: str, at: int, name: str) -> tuple[int, int]:
    at = _skip(text, at + 1)
    while text[at] == '"':
        key, end = _decoder.raw_decode(text, at)
        value = _skip(text, _skip(text, end) + 1)
        if key == name:
            return at, value
        _, end = _decoder.raw_decode(text, value)
        at = _skip(text, _skip(text, end) + 1)
    raise ValueError(name)


def _item(text: str, at: int, index: int) -> int:
    at = _skip(text, at + 1)
    for _ in range(index):
        _, end = _decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, end) + 1)
    return at


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
