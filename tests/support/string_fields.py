"""Every place of a message where a string may stand, found by its descriptor."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

Put = Callable[[Any, str], None]
Place = tuple[str, Put]
"""The path as a violation names it, and what puts a string there."""

_MOST_DEPTH = 6


def places(descriptor: Descriptor, depth: int = 0) -> Iterator[Place]:
    """Yield the places of a message and of what it holds: strings, their lists, keys and values of maps."""
    if depth < _MOST_DEPTH:
        for field in descriptor.fields:
            yield from _of_field(field, depth)


def _of_field(field: FieldDescriptor, depth: int) -> Iterator[Place]:
    name, inner = field.name, field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        yield from _of_map(name, inner, depth)
    elif inner is not None:
        for path, put in places(inner, depth + 1):
            yield (
                (f"{name}[0].{path}", partial(_put_into_first, name, put))
                if field.is_repeated
                else (f"{name}.{path}", partial(_put_into, name, put))
            )
    elif field.type == FieldDescriptor.TYPE_STRING:
        yield (f"{name}[0]", partial(_append, name)) if field.is_repeated else (name, partial(_set, name))


def _of_map(name: str, entry: Descriptor, depth: int) -> Iterator[Place]:
    key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
    if key.type == FieldDescriptor.TYPE_STRING:
        yield name, partial(_add_key, name, value.message_type is None)
    if value.message_type is not None:
        for path, put in places(value.message_type, depth + 1):
            yield f"{name}.k.{path}", partial(_put_into_value, name, put)
    elif value.type == FieldDescriptor.TYPE_STRING:
        yield f"{name}.k", partial(_add_value, name)


def _set(name: str, message: Any, text: str) -> None:
    setattr(message, name, text)


def _append(name: str, message: Any, text: str) -> None:
    getattr(message, name).append(text)


def _put_into(name: str, put: Put, message: Any, text: str) -> None:
    put(getattr(message, name), text)


def _put_into_first(name: str, put: Put, message: Any, text: str) -> None:
    put(getattr(message, name).add(), text)


def _put_into_value(name: str, put: Put, message: Any, text: str) -> None:
    put(getattr(message, name)["k"], text)


def _add_key(name: str, is_text: bool, message: Any, text: str) -> None:
    if is_text:
        getattr(message, name)[text] = "v"
    else:
        getattr(message, name)[text].SetInParent()


def _add_value(name: str, message: Any, text: str) -> None:
    getattr(message, name)["k"] = text
