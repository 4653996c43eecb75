"""proto = REST = OpenAPI: every RPC of our descriptor set is called as the document says, and a spy sees what arrives.

The protos are read here with protobuf's own means, so that the adapter's reading of them is held against another one.
"""

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from jsonschema import Draft202012Validator, validators  # type: ignore[import-untyped, unused-ignore]
from parley.access.v1 import access_pb2

from adapters.rest.settings import RestSettings
from tests.adapters.conftest import running_adapter

Json = dict[str, Any]
# The spy writes the same text everywhere; whether it is a language code is not the question here.
_Validator = validators.extend(Draft202012Validator, {"pattern": lambda *_: None})  # type: ignore[no-untyped-call, unused-ignore]
_PARAMETER = re.compile(r"{([^}=]+)(=[^}]*)?}")
_TEXT, _UUID = "some text", "0190d3a5-7f3e-7c3e-8a5b-3f1f6b0a9c11"


class Bound(NamedTuple):
    """One binding of one RPC."""

    rpc: MethodDescriptor
    http_method: str
    template: str
    body: str
    response_body: str
    number: int

    @property
    def path(self) -> str:
        """The path as OpenAPI writes it."""

        def named(match: re.Match[str]) -> str:
            return "{" + _field(self.rpc.input_type, match[1]).json_name + "}"

        return _PARAMETER.sub(named, self.template)


def _field(owner: Descriptor, name: str) -> FieldDescriptor:
    return owner.fields_by_name[name]


def _rpcs() -> Iterator[MethodDescriptor]:
    files = FileDescriptorSet.FromString(RestSettings().descriptor_set.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    for file in files.file:
        for service in pool.FindFileByName(file.name).services_by_name.values():
            yield from service.methods


def _bound(rpc: MethodDescriptor) -> list[Bound]:
    options = rpc.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return []
    rule = options.Extensions[annotations_pb2.http]
    found = []
    for number, one in enumerate([rule, *rule.additional_bindings]):
        kind = one.WhichOneof("pattern")
        found.append(Bound(rpc, kind.upper(), getattr(one, kind), one.body, one.response_body, number))
    return found


RPCS = list(_rpcs())
BOUND = [bound for rpc in RPCS for bound in _bound(rpc)]


class Spy(grpc.GenericRpcHandler):
    """An upstream with every RPC of the set: it remembers what arrives and answers with full messages."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Message]] = []
        self._handlers = {_grpc_path(rpc): self._handler(rpc) for rpc in RPCS}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call."""
        return self._handlers.get(handler_call_details.method)

    def _handler(self, rpc: MethodDescriptor) -> Any:
        answers = answers_of(rpc.output_type)

        async def once(request: Message, _context: object) -> Message:
            self.seen.append((_grpc_path(rpc), request))
            return answers[0]

        async def many(request: Message, _context: object) -> AsyncIterator[Message]:
            self.seen.append((_grpc_path(rpc), request))
            for answer in answers:
                yield answer

        kind = message_factory.GetMessageClass(rpc.input_type)
        make: Any = (
            grpc.unary_stream_rpc_method_handler if rpc.server_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(
            many if rpc.server_streaming else once,
            request_deserializer=kind.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )


def _grpc_path(rpc: MethodDescriptor) -> str:
    return f"/{rpc.containing_service.full_name}/{rpc.name}"


def answers_of(descriptor: Descriptor) -> list[Message]:
    """Return full messages of a type, one for each member of its first oneof."""
    choices = max((len(oneof.fields) for oneof in descriptor.oneofs), default=1)
    return [_full(descriptor, choice, 0) for choice in range(choices)]


def _full(descriptor: Descriptor, choice: int, depth: int) -> Any:
    message: Any = message_factory.GetMessageClass(descriptor)()
    chosen = {oneof.fields[choice % len(oneof.fields)].name for oneof in descriptor.oneofs}
    for field in descriptor.fields:
        if field.containing_oneof is not None and field.name not in chosen:
            continue
        value = _full_value(field, choice, depth)
        if value is None:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            target = getattr(message, field.name)
            if field.message_type.fields_by_name["value"].message_type is None:
                target[value.key] = value.value
            else:
                target[value.key].CopyFrom(value.value)
        elif field.is_repeated:
            getattr(message, field.name).append(value)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(value)
        else:
            setattr(message, field.name, value)
    return message


def _full_value(field: FieldDescriptor, choice: int, depth: int) -> Any:
    if field.message_type is not None:
        kind = field.message_type.full_name
        if kind in ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.Any"):
            return None
        if kind == "google.protobuf.FieldMask":
            return message_factory.GetMessageClass(field.message_type)(paths=["some"])
        return _full(field.message_type, choice, depth + 1) if depth < 4 else None
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.type == FieldDescriptor.TYPE_STRING:
        return "text/plain" if field.name == "content_type" else _TEXT
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"bytes"
    return 1


@pytest.fixture(scope="module")
async def spied() -> AsyncIterator[tuple[Spy, httpx.AsyncClient]]:
    """Our own REST face in front of the spy."""
    spy = Spy()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((spy,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settings = RestSettings(listen="127.0.0.1:0", upstream=f"127.0.0.1:{port}", drain_seconds=1)
    async with running_adapter(settings) as face:
        yield spy, face.client
    await server.stop(None)


@pytest.fixture(scope="module")
async def document(spied: tuple[Spy, httpx.AsyncClient]) -> Json:
    """The document as the running adapter serves it."""
    served: Json = (await spied[1].get("/api/docs/openapi.json")).json()
    return served


def _keep_one_of_each_oneof(descriptor: Descriptor, content: Json) -> None:
    """Take out of a message's JSON (the body is part of it) all members of a oneof but the first that is there."""
    for oneof in descriptor.oneofs:
        for field in [field for field in oneof.fields if field.json_name in content][1:]:
            del content[field.json_name]
    for field in descriptor.fields:
        inner = content.get(field.json_name)
        if field.message_type is not None and not field.message_type.full_name.startswith("google.protobuf."):
            for part in inner if isinstance(inner, list) else [inner]:
                if isinstance(part, dict) and not field.message_type.GetOptions().map_entry:
                    _keep_one_of_each_oneof(field.message_type, part)


def _with_the_rest(descriptor: Descriptor, names: Iterable[str]) -> set[str]:
    """Return the names with those of the fields that share a oneof with them."""
    given = set(names)
    return given | {
        field.json_name
        for oneof in descriptor.oneofs
        if any(field.json_name in given for field in oneof.fields)
        for field in oneof.fields
    }


def _named(bound: Bound) -> str:
    return f"{bound.rpc.full_name}-{bound.number}"


def test_the_document_has_the_bindings_and_nothing_else(document: Json) -> None:
    operations = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert operations == {(bound.path, bound.http_method) for bound in BOUND}


@pytest.mark.parametrize("rpc", [rpc for rpc in RPCS if not _bound(rpc)], ids=lambda rpc: rpc.full_name)
async def test_an_rpc_without_a_rule_is_not_served(rpc: MethodDescriptor, spied: tuple[Spy, httpx.AsyncClient]) -> None:
    assert (await spied[1].post(_grpc_path(rpc), json={})).status_code == 404


@pytest.mark.parametrize("bound", BOUND, ids=_named)
def test_the_operation_is_the_rpc(bound: Bound, document: Json) -> None:
    operation = document["paths"][bound.path][bound.http_method.lower()]
    name = f"{bound.rpc.containing_service.name}_{bound.rpc.name}"
    assert operation["operationId"] == (f"{name}_{bound.number}" if bound.number else name)
    rule = bound.rpc.GetOptions().Extensions[access_pb2.access]
    assert operation["security"] == ([] if rule.level == access_pb2.LEVEL_PUBLIC else [{"bearer": []}])
    in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
    assert in_path == {
        _field(bound.rpc.input_type, match[1]).json_name for match in _PARAMETER.finditer(bound.template)
    }
    assert ("requestBody" in operation) == bool(bound.body)


@pytest.mark.parametrize("bound", BOUND, ids=_named)
async def test_what_the_document_offers_arrives(
    bound: Bound, document: Json, spied: tuple[Spy, httpx.AsyncClient]
) -> None:
    spy, client = spied
    operation = document["paths"][bound.path][bound.http_method.lower()]
    expected: Json = {}
    path, query = bound.path, {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "header":
            continue
        value = sample(parameter["schema"], document)
        _put(expected, parameter["name"].split("."), value)
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", str(value))
        else:
            query[parameter["name"]] = str(value).lower() if isinstance(value, bool) else value
    body = None
    if bound.body:
        body = sample(operation["requestBody"]["content"]["application/json"]["schema"], document)
        if bound.body == "*":
            expected |= body
        else:
            expected[_field(bound.rpc.input_type, bound.body).json_name] = body
        _keep_one_of_each_oneof(bound.rpc.input_type, expected)
        if bound.body == "*":
            body = {name: value for name, value in body.items() if name in expected}
    spy.seen.clear()
    answer = await client.request(bound.http_method, path, params=query, json=body)
    assert answer.status_code == 200, answer.text
    [(called, request)] = spy.seen
    assert called == _grpc_path(bound.rpc)
    assert json_format.MessageToDict(request) == expected
    assert _with_the_rest(bound.rpc.input_type, expected.keys()) == {
        field.json_name for field in bound.rpc.input_type.fields if not _is_output_only(field)
    }


@pytest.mark.parametrize("bound", BOUND, ids=_named)
async def test_the_answer_is_what_the_document_says(
    bound: Bound, document: Json, spied: tuple[Spy, httpx.AsyncClient]
) -> None:
    operation = document["paths"][bound.path][bound.http_method.lower()]
    path = bound.path
    for match in _PARAMETER.finditer(bound.template):
        field = _field(bound.rpc.input_type, match[1])
        path = path.replace(f"{{{field.json_name}}}", _UUID if field.type == FieldDescriptor.TYPE_STRING else "1")
    answer = await spied[1].request(bound.http_method, path, json={})
    described = operation["responses"][str(answer.status_code)]["content"]
    if bound.rpc.output_type.full_name == "google.api.HttpBody":
        assert (described, answer.content) == ({"*/*": {}}, b"bytes")
        return
    schema = described[answer.headers["content-type"]]["schema"]
    lines = [json.loads(line) for line in answer.text.splitlines()]
    messages = answers_of(bound.rpc.output_type)
    assert len(lines) == (len(messages) if bound.rpc.server_streaming else 1)
    for line, message in zip(lines, messages, strict=bound.rpc.server_streaming):
        _Validator(schema | {"components": document["components"]}).validate(line)
        shown = line["result"] if bound.rpc.server_streaming else line
        inner = _properties(schema, document)["result"] if bound.rpc.server_streaming else schema
        part: Any = getattr(message, bound.response_body) if bound.response_body else message
        _hold_fields(part.DESCRIPTOR, shown, inner, document)


def _hold_fields(descriptor: Descriptor, shown: Any, schema: Json, document: Json) -> None:
    """The fields of the proto, of the answer and of the schema are the same, all the way down."""
    properties = _properties(schema, document)
    if properties is None:
        assert descriptor.full_name.startswith("google.protobuf.")
        return
    assert properties.keys() == {field.json_name for field in descriptor.fields}
    always = {field.json_name for field in descriptor.fields if field.containing_oneof is None}
    assert always <= shown.keys() <= properties.keys()
    for field in descriptor.fields:
        value = shown.get(field.json_name)
        kind = field.message_type
        if value is None or kind is None or kind.GetOptions().map_entry:
            continue
        inner = _without_null(properties[field.json_name])
        if field.is_repeated:
            for item in value:
                _hold_fields(kind, item, inner["items"], document)
        else:
            _hold_fields(kind, value, inner, document)


def _properties(schema: Json, document: Json) -> Any:
    return _resolved(_without_null(schema), document).get("properties")


def _without_null(schema: Json) -> Json:
    """Return the schema of the value where it may be null."""
    found: Json = next((one for one in schema.get("anyOf", []) if one.get("type") != "null"), schema)
    return found


def _resolved(schema: Json, document: Json) -> Json:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Json = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def sample(schema: Json, document: Json) -> Any:
    """Return a value that the schema describes, with everything in it that a client may set."""
    schema = _resolved(_without_null(schema), document)
    if "enum" in schema:
        return schema["enum"][-1]
    kind = schema["type"]
    if kind == "object":
        if "properties" not in schema:
            return {"key": sample(schema["additionalProperties"], document)}
        # protobuf leaves empty messages away; the samples have none.
        fields = {name: one for name, one in schema["properties"].items() if not one.get("readOnly")}
        return {name: sample(one, document) for name, one in fields.items()}
    if kind == "array":
        return [sample(schema["items"], document)]
    if kind == "string":
        return _sample_text(schema)
    return {"integer": 7, "number": 1.5, "boolean": True}[kind]


def _sample_text(schema: Json) -> str:
    if schema.get("format") in ("int64", "uint64"):
        return "7"
    if schema.get("format") == "date-time":
        return "2026-01-02T03:04:05Z"
    if schema.get("description") == "Field names with commas between them.":
        return "title"
    if schema.get("format") == "uuid":
        return _UUID
    if schema.get("pattern", "").endswith("s$"):
        return "1.500s"
    return _TEXT


def _put(target: Json, names: list[str], value: Any) -> None:
    for name in names[:-1]:
        target = target.setdefault(name, {})
    target[names[-1]] = value


def _is_output_only(field: FieldDescriptor) -> bool:
    behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.OUTPUT_ONLY in behaviors
