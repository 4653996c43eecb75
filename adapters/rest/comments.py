"""Reads the comments of proto files out of their source info."""

from collections.abc import Iterator, Mapping

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

Comments = dict[str, str]
"""Full name of a message, field, enum, value, service or RPC -> its leading comment."""

_Path = tuple[int, ...]
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _NESTED, _NESTED_ENUMS, _VALUES, _METHODS = 2, 3, 4, 2, 2


def read_comments(file: FileDescriptorProto) -> Comments:
    """Return the comments of a file; none when it was compiled without source info."""
    texts = {
        tuple(location.path): _plain(location.leading_comments)
        for location in file.source_code_info.location
        if location.leading_comments
    }
    return {name: texts[path] for name, path in _names(file) if path in texts} if texts else {}


def _names(file: FileDescriptorProto) -> Iterator[tuple[str, _Path]]:
    prefix = f"{file.package}." if file.package else ""
    for index, message in enumerate(file.message_type):
        yield from _message(message, prefix, (_MESSAGES, index))
    for index, enum in enumerate(file.enum_type):
        yield from _enum(enum, prefix, (_ENUMS, index))
    for index, service in enumerate(file.service):
        path = (_SERVICES, index)
        yield prefix + service.name, path
        for number, method in enumerate(service.method):
            yield f"{prefix}{service.name}.{method.name}", (*path, _METHODS, number)


def _message(message: DescriptorProto, prefix: str, path: _Path) -> Iterator[tuple[str, _Path]]:
    name = prefix + message.name
    yield name, path
    for index, field in enumerate(message.field):
        yield f"{name}.{field.name}", (*path, _FIELDS, index)
    for index, nested in enumerate(message.nested_type):
        yield from _message(nested, f"{name}.", (*path, _NESTED, index))
    for index, enum in enumerate(message.enum_type):
        yield from _enum(enum, f"{name}.", (*path, _NESTED_ENUMS, index))


def _enum(enum: EnumDescriptorProto, prefix: str, path: _Path) -> Iterator[tuple[str, _Path]]:
    name = prefix + enum.name
    yield name, path
    for index, value in enumerate(enum.value):
        yield f"{name}.{value.name}", (*path, _VALUES, index)


def _plain(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def first_sentence(text: str) -> str:
    """Return the text up to its first full stop, without it, on one line."""
    head, _, _ = " ".join(text.split()).partition(". ")
    return head.rstrip(".")


def of(comments: Mapping[str, str], name: str) -> str:
    """Return the comment of an element, or nothing."""
    return comments.get(name, "")
