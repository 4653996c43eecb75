"""Fills a request from its query string, as grpc-gateway's PopulateQueryParameters does."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from adapters.rest.failures import ValueInvalid, invalid_field
from adapters.rest.fields import is_map, map_fields, message_of
from adapters.rest.text_values import Put, put_text

_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")

_KEEPING = "surrogateescape"

FieldPath = tuple[str, ...]


def parse_query(query: bytes) -> dict[str, list[str]]:
    """Return the values by key, in their order. Bytes that are no UTF-8 become lone surrogates.

    Raises:
        Failure: a semicolon or a bad escape.
    """
    values: dict[str, list[str]] = {}
    for part in query.decode(errors=_KEEPING).split("&"):
        if not part:
            continue
        if ";" in part:
            raise invalid_field(_shown(part.partition("=")[0]), "invalid semicolon separator in query")
        key, _, value = part.partition("=")
        bad = _BAD_ESCAPE.search(part)
        if bad:
            problem = f'invalid URL escape "{_shown(part[bad.start() :][:3])}"'
            raise invalid_field(_shown(key), f'query parameter "{_shown(key)}": {problem}', go=problem)
        values.setdefault(unquote_plus(key, errors=_KEEPING), []).append(unquote_plus(value, errors=_KEEPING))
    return values


class QueryBinder:
    """Fills messages of one type; the fields that the body or the path give are left alone."""

    def __init__(self, descriptor: Descriptor, covered: Iterable[FieldPath], *, strict: bool = False) -> None:
        """Take the request type, the paths (proto names) that are given elsewhere, and whether unknown keys fail."""
        self._strict = strict
        self._descriptor = descriptor
        self._covered = frozenset(covered)

    def fill(self, message: Any, values: dict[str, list[str]]) -> None:
        """Put the values into the message. Unknown keys are ignored.

        Raises:
            Failure: a value does not fit its field; the message and the details name it.
        """
        for key, texts in values.items():
            path, items = _with_map_key(key, texts)
            try:
                self._put(message, path.split("."), items)
            except ValueInvalid as error:
                text = f'parsing field "{path}": {error.problem}'
                raise invalid_field(path, text, go=error.go) from None
            except _Refused as error:
                raise invalid_field(_shown(path), str(error)) from None

    def _put(self, message: Any, parts: Sequence[str], texts: list[str]) -> None:
        descriptor = self._descriptor
        walked: list[FieldDescriptor] = []
        for part in parts:
            if walked:
                if walked[-1].message_type is None or walked[-1].is_repeated:
                    raise _Refused(f'invalid path: "{walked[-1].name}" is not a message')
                descriptor = walked[-1].message_type
            field = field_named(descriptor, part)
            if field is None:
                if self._strict:
                    raise _Refused(f'unknown query parameter "{_shown(".".join(parts))}"')
                # grpc-gateway makes the parents on its way, even when the end is unknown.
                if walked and not self._is_covered(walked):
                    _descend(message, walked).SetInParent()
                return
            walked.append(field)
        if not self._is_covered(walked):
            if not all(map(_is_text, texts)):
                raise _Refused(f'query parameter "{".".join(parts)}": not UTF-8')
            _put_values(_descend(message, walked[:-1]), walked[-1], texts)

    def _is_covered(self, walked: list[FieldDescriptor]) -> bool:
        names = tuple(field.name for field in walked)
        return any(names[:length] in self._covered for length in range(1, len(names) + 1))


def _with_map_key(key: str, texts: list[str]) -> tuple[str, list[str]]:
    """Return the path of `path[key]`, and the key before the texts; a key of another form is a path."""
    path, bracket, inner = key[:-1].rpartition("[")
    # Go's expression for it takes no line feeds.
    if not bracket or not key.endswith("]") or "\n" in key:
        return key, texts
    return path, [inner, *texts]


def _shown(name: str) -> str:
    return name.encode(errors="replace").decode()


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\udc80" <= character <= "\udcff" for character in value)


class _Refused(Exception):
    """The key cannot be used as it is."""


def field_named(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    """Return the field with this proto name or JSON name."""
    return _names(descriptor).get(name)


@cache
def _names(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    return {field.json_name: field for field in descriptor.fields} | {field.name: field for field in descriptor.fields}


@cache
def _put_for(field: FieldDescriptor) -> Put | None:
    return put_text(field, in_path=False)


def _descend(message: Any, walked: Sequence[FieldDescriptor]) -> Any:
    for field in walked:
        _refuse_second_member(message, field)
        message = getattr(message, field.name)
        message.SetInParent()
    return message


def _put_values(message: Any, field: FieldDescriptor, texts: list[str]) -> None:
    if is_map(field):
        _put_entry(message, field, texts)
        return
    if not field.is_repeated and len(texts) > 1:
        raise _Refused(f'too many values for field "{field.name}": {", ".join(texts)[:200]}')
    put = _put_for(field)
    if put is None:
        kind = "list" if field.is_repeated else "field"
        raise _Refused(f'parsing {kind} "{field.name}": unsupported message type: "{message_of(field).full_name}"')
    oneof = field.containing_oneof
    if oneof is not None and message.WhichOneof(oneof.name) is not None:
        raise _Refused(f'field already set for oneof "{oneof.name}"')
    kind = "list" if field.is_repeated else "field"
    for text in texts:
        _put_part(put, message, text, f'{kind} "{field.name}"')


def _put_part(put: Put, message: Any, text: str, what: str) -> None:
    try:
        put(message, text)
    except ValueInvalid as error:
        raise ValueInvalid(error.problem, error.path, f"parsing {what}: {error.go}") from None


def _put_entry(message: Any, field: FieldDescriptor, texts: list[str]) -> None:
    if len(texts) != 2:
        raise _Refused(f'more than one value provided for key "{texts[0][:100]}" in map "{field.full_name}"')
    key_field, value_field = map_fields(field)
    put_key, put_value = _put_for(key_field), _put_for(value_field)
    if put_key is None or put_value is None:
        raise _Refused(f'parsing field "{field.name}": unsupported message type')
    entry = getattr(message, field.name).GetEntryClass()()
    _put_part(put_key, entry, texts[0], f'map key "{field.name}"')
    _put_part(put_value, entry, texts[1], f'map value "{field.name}"')
    target = getattr(message, field.name)
    if value_field.message_type is not None:
        target[entry.key].CopyFrom(entry.value)
    else:
        target[entry.key] = entry.value


def _refuse_second_member(message: Any, field: FieldDescriptor) -> None:
    oneof = field.containing_oneof
    if oneof is not None and message.WhichOneof(oneof.name) not in (None, field.name):
        raise _Refused(f'field already set for oneof "{oneof.name}"')
