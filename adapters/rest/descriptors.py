"""Loads a FileDescriptorSet into a pool of its own, so that any upstream can be served beside Parley's types."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError, Message

from adapters.rest.comments import Comments, read_comments


class DescriptorSetInvalid(Exception):
    """The bytes are no FileDescriptorSet, or a file that it imports is missing."""


class DescriptorSet:
    """The types and RPCs of one upstream."""

    def __init__(self, files: list[FileDescriptorProto]) -> None:
        """Take the files of a set; what they import from Google's packages may be left out of it.

        Raises:
            DescriptorSetInvalid: an imported file is missing or a file is malformed.
        """
        self.pool = descriptor_pool.DescriptorPool()
        self.comments: Comments = {}
        self._files = files
        self._given = {file.name: file for file in files}
        self._added: set[str] = set()
        for file in files:
            self._add(file)
            self.comments.update(read_comments(file))

    def methods(self) -> Iterator[MethodDescriptor]:
        """Yield every RPC: files in the order of the set, services and RPCs in the order of the file."""
        for file in self._files:
            for service in self.pool.FindFileByName(file.name).services_by_name.values():
                yield from service.methods

    def service_names(self) -> set[str]:
        """Return the full names of the services."""
        return {method.containing_service.full_name for method in self.methods()}

    def _add(self, file: FileDescriptorProto) -> None:
        if file.name in self._added:
            return
        self._added.add(file.name)
        for name in file.dependency:
            self._add(self._given.get(name) or _installed(name, file.name))
        try:
            self.pool.AddSerializedFile(file.SerializeToString())
        except TypeError as error:
            raise DescriptorSetInvalid(f"{file.name}: {error}") from error


def load_descriptor_set(data: bytes) -> DescriptorSet:
    """Return the types of a serialized FileDescriptorSet.

    Raises:
        DescriptorSetInvalid: the bytes are something else, or an imported file is missing.
    """
    try:
        files = list(FileDescriptorSet.FromString(data).file)
    except DecodeError as error:
        raise DescriptorSetInvalid("not a FileDescriptorSet") from error
    return DescriptorSet(files)


def read_descriptor_set(path: Path) -> DescriptorSet:
    """Return the types of the FileDescriptorSet in a file.

    Raises:
        DescriptorSetInvalid: the file cannot be read or holds something else.
    """
    try:
        return load_descriptor_set(path.read_bytes())
    except OSError as error:
        raise DescriptorSetInvalid(f"{path}: {error.strerror}") from error
    except DescriptorSetInvalid as error:
        raise DescriptorSetInvalid(f"{path}: {error}") from error


def message_class(descriptor: Descriptor) -> type[Message]:
    """Return the class of the messages of a type."""
    return message_factory.GetMessageClass(descriptor)


def _installed(name: str, importer: str) -> FileDescriptorProto:
    try:
        if name.startswith("google/"):
            importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        return FileDescriptorProto.FromString(descriptor_pool.Default().FindFileByName(name).serialized_pb)
    except (KeyError, ImportError):
        raise DescriptorSetInvalid(f"{importer} imports {name}, which the set does not hold") from None
