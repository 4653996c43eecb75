"""What Envoy needs to know of the contract, read from the descriptor set: capabilities, access, streams and limits."""

import importlib.resources
import re
from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2
from parley.access.v1 import access_pb2

_VARIABLE = re.compile(r"\{[^}=]+(?:=([^}]+))?\}")
_METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True)
class RestPath:
    """One REST form of an RPC: `method` is an HTTP method, `template` a google.api.http path template."""

    method: str
    template: str

    @property
    def pattern(self) -> str:
        """The template as an RE2 expression for a whole path."""
        path, verb = _split_verb(self.template)
        segments = [_segment(segment) for segment in _expanded(path).split("/")]
        if not verb and segments[-1] == "[^/]+":
            # `{id}` must not swallow `{id}:verb`, which is another RPC with its own access rule.
            segments[-1] = "[^/:]+"
        return "/".join(segments) + (f":{re.escape(verb)}" if verb else "")

    @property
    def method_pattern(self) -> str:
        """The HTTP methods of the path: who may GET may also ask for the HEAD of it."""
        return "GET|HEAD" if self.method == "GET" else re.escape(self.method)

    @property
    def literals(self) -> int:
        """How many segments are fixed: the more, the earlier the template is tried."""
        return sum("*" not in segment for segment in _expanded(self.template).split("/"))

    def hides(self, other: "RestPath") -> bool:
        """Whether this pattern also matches paths of the other template."""
        return self.method == other.method and bool(re.fullmatch(self.pattern, _expanded(other.template)))


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC: its gRPC path, who may call it and how its answer comes."""

    path: str
    package: str
    capability: str
    level: int
    streams: bool
    rest: tuple[RestPath, ...]
    max_request_bytes: int
    uploads: bool = False
    """Whether the client sends a stream: nobody waits for its end."""

    @property
    def is_public(self) -> bool:
        """Whether it needs no token."""
        return self.level == access_pb2.LEVEL_PUBLIC

    @property
    def is_internal(self) -> bool:
        """Whether only services may call it."""
        return self.level == access_pb2.LEVEL_SERVICE


def load_descriptors() -> descriptor_pb2.FileDescriptorSet:
    """Return the generated descriptor set. Raises FileNotFoundError when `make gen` never ran."""
    data = importlib.resources.files("parley").joinpath("descriptors.binpb").read_bytes()
    return descriptor_pb2.FileDescriptorSet.FromString(data)


def read_rpcs(descriptors: descriptor_pb2.FileDescriptorSet) -> list[Rpc]:
    """Return every RPC of the `parley.` packages, sorted by path."""
    return sorted(
        (
            _rpc(file.package, service, method)
            for file in descriptors.file
            if file.package.startswith("parley.")
            for service in file.service
            for method in service.method
        ),
        key=lambda rpc: rpc.path,
    )


def default_max_bytes(level: int) -> int:
    """Return the most bytes of a request to an RPC of the level that names no limit of its own."""
    options = access_pb2.Level.DESCRIPTOR.values_by_number[level].GetOptions()
    return int(options.Extensions[access_pb2.default_max_request_bytes])


def _rpc(
    package: str, service: descriptor_pb2.ServiceDescriptorProto, method: descriptor_pb2.MethodDescriptorProto
) -> Rpc:
    level = method.options.Extensions[access_pb2.access].level
    return Rpc(
        path=f"/{package}.{service.name}/{method.name}",
        package=package,
        capability=package.split(".")[1],
        level=level,
        streams=method.server_streaming or method.client_streaming,
        rest=tuple(_rest_paths(method.options.Extensions[annotations_pb2.http])),
        max_request_bytes=method.options.Extensions[access_pb2.max_request_bytes] or default_max_bytes(level),
        uploads=method.client_streaming,
    )


def _rest_paths(rule: http_pb2.HttpRule) -> Iterator[RestPath]:
    kind = rule.WhichOneof("pattern")
    if kind == "custom":
        yield RestPath(rule.custom.kind, rule.custom.path)
    elif kind in _METHODS:
        yield RestPath(kind.upper(), getattr(rule, kind))
    for binding in rule.additional_bindings:
        yield from _rest_paths(binding)


def _expanded(template: str) -> str:
    """Put each variable's own pattern in its place: `{name=a/*}` becomes `a/*`, `{id}` becomes `*`."""
    return _VARIABLE.sub(lambda match: match[1] or "*", template)


def _segment(segment: str) -> str:
    return {"*": "[^/]+", "**": ".*"}.get(segment) or re.escape(segment)


def _split_verb(template: str) -> tuple[str, str]:
    path, colon, verb = template.rpartition(":")
    return (path, verb) if colon and "/" not in verb and "}" not in verb else (template, "")
