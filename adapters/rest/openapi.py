"""Writes an OpenAPI 3.1 document from the descriptors: what the gateway serves, as its clients see it."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from parley.access.v1 import access_pb2

from adapters.rest import comments
from adapters.rest.annotations import Binding, access_rule, http_bindings, is_output_only, is_required, resumption
from adapters.rest.answer_options import read_answer_options
from adapters.rest.binding import walk
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.fields import is_map
from adapters.rest.openapi_paths import OpenPath, Place, json_path, open_path
from adapters.rest.openapi_responses import (
    HEADERS,
    RAW_CONTENT,
    ErrorResponses,
    as_optioned,
    raw_answer,
    stream_answer,
    unary_answer,
)
from adapters.rest.openapi_schemas import STATUS, STATUS_SCHEMA, Schemas, described
from adapters.rest.path_template import parse_template
from adapters.rest.raw_target import HTTP_BODY, raw_target
from adapters.rest.well_known import WRAPPERS

Object = dict[str, Any]
Wanted = Callable[[MethodDescriptor, Binding], bool]
Bindings = Callable[[MethodDescriptor], Iterable[Binding]]
_METHODS = {"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"}
_READING = {"GET", "HEAD", "OPTIONS", "TRACE"}
_QUERY_MESSAGES = WRAPPERS | {f"google.protobuf.{kind}" for kind in ("Timestamp", "Duration", "FieldMask")}
_MAX_QUERY_DEPTH = 3


def openapi_document(
    descriptors: DescriptorSet,
    title: str,
    version: str,
    wanted: Wanted = lambda *_: True,
    bindings: Bindings = http_bindings,
    *,
    raw_uploads: bool = False,
) -> Object:
    """Return the document of the bindings that are wanted; `bindings` when the protos' own rules are not all.

    `raw_uploads` is whether bodies that are no JSON are taken too.
    """
    schemas, errors = Schemas(descriptors.comments), ErrorResponses()
    names = _Names(descriptors)
    paths: Object = {}
    shapes: dict[str, OpenPath] = {}
    tags: Object = {}
    for method in descriptors.methods():
        for number, binding in enumerate(bindings(method)):
            if binding.http_method in _METHODS and wanted(method, binding):
                operation = _Operation(descriptors, schemas, errors, method, binding, raw_uploads=raw_uploads)
                path = operation.name_parameters_like(shapes.setdefault(operation.path.shape, operation.path))
                # The last registered binding of a path and method is the one that the gateway serves.
                described = operation.describe(names.operation(method, number), names.tag(method))
                paths.setdefault(path, {})[binding.http_method.lower()] = described
                service = method.containing_service
                tags[names.tag(method)] = comments.of(descriptors.comments, service.full_name)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
        "paths": paths,
        "components": {
            "schemas": {STATUS: STATUS_SCHEMA, **dict(sorted(schemas.components.items()))},
            "responses": dict(sorted(errors.components.items())),
            "headers": HEADERS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


class _Names:
    """Names of services: short, or with the package where two packages (v1 and v2) have one of the same name."""

    def __init__(self, descriptors: DescriptorSet) -> None:
        services = {method.containing_service.full_name for method in descriptors.methods()}
        short = Counter(name.rpartition(".")[2] for name in services)
        self._ambiguous = {name for name, count in short.items() if count > 1}

    def tag(self, method: MethodDescriptor) -> str:
        service = method.containing_service
        return service.full_name if service.name in self._ambiguous else service.name

    def operation(self, method: MethodDescriptor, number: int) -> str:
        name = f"{self.tag(method)}_{method.name}".replace(".", "_")
        return f"{name}_{number}" if number else name


class _Operation:
    """One path and method of the document."""

    def __init__(
        self,
        descriptors: DescriptorSet,
        schemas: Schemas,
        errors: ErrorResponses,
        method: MethodDescriptor,
        binding: Binding,
        *,
        raw_uploads: bool,
    ) -> None:
        self._comments = descriptors.comments
        self._schemas = schemas
        self._error_responses = errors
        self._method = method
        self._binding = binding
        self._raw_uploads = raw_uploads
        self._options = read_answer_options(method)
        template = parse_template(binding.template)
        self._variables = [walk(method.input_type, variable.field_path) for variable in template.variables]
        self.path = open_path(template, self._variables)

    def name_parameters_like(self, path: OpenPath) -> str:
        """Take the parameter names of a path of the same shape and return its text."""
        self.path = self.path.named_as(path)
        return self.path.text

    def describe(self, identifier: str, tag: str) -> Object:
        method, binding = self._method, self._binding
        comment = comments.of(self._comments, method.full_name)
        operation: Object = {
            "operationId": identifier,
            "tags": [tag],
        }
        if comment:
            operation |= {"summary": comments.first_sentence(comment), "description": comment}
        if method.GetOptions().deprecated or self._options.marks:
            operation["deprecated"] = True
        if parameters := [*self._path_parameters(), *self._query_parameters(), *self._header_parameters()]:
            operation["parameters"] = parameters
        if binding.body:
            operation["requestBody"] = self._request_body()
        operation["responses"] = {**as_optioned(self._success(), self._options), **self._errors()}
        rule = access_rule(method)
        if rule is not None:
            operation["security"] = [] if rule.level == access_pb2.LEVEL_PUBLIC else [{"bearer": []}]
            if rule.roles:
                text = f"Needs one of the roles: {', '.join(rule.roles)}."
                operation["description"] = f"{operation.get('description', '')}\n\n{text}".strip()
        return operation

    def _path_parameters(self) -> list[Object]:
        return [
            {"name": place.name, "in": "path", "required": True, **self._of_path(place)} for place in self.path.places
        ]

    def _of_path(self, place: Place) -> Object:
        text = comments.of(self._comments, place.field.full_name) if place.field is not None else ""
        if place.is_deep:
            text = f"{text} May hold slashes.".strip()
        whole = place.field is not None and place.is_whole and not place.field.is_repeated
        schema = self._schemas.value(place.field) if whole and place.field is not None else {"type": "string"}
        return ({"description": text} if text else {}) | {"schema": schema}

    def _query_parameters(self) -> list[Object]:
        if self._binding.body == "*":
            return []
        covered = {".".join(field.name for field in fields) for fields in self._variables} | {self._binding.body}
        return self._query_of(self._method.input_type, (), covered)

    def _query_of(self, owner: Descriptor, parents: tuple[FieldDescriptor, ...], covered: set[str]) -> list[Object]:
        parameters: list[Object] = []
        for field in owner.fields:
            fields = (*parents, field)
            if ".".join(part.name for part in fields) in covered or is_map(field) or is_output_only(field):
                continue
            kind = field.message_type
            if kind is None or kind.full_name in _QUERY_MESSAGES:
                required = is_required(field) and not parents
                parameter = {"name": json_path(fields), "in": "query", **self._described(field)}
                parameters.append(parameter | ({"required": True} if required else {}))
            elif not field.is_repeated and len(fields) < _MAX_QUERY_DEPTH:
                parameters += self._query_of(kind, fields, covered)
        return parameters

    def _header_parameters(self) -> list[Object]:
        option = resumption(self._method)
        if option is None or not option.after_field:
            return []
        text = "The id of the last event that the reader has: the stream goes on after it."
        schema = {"type": "integer", "minimum": 0}
        return [{"name": "Last-Event-ID", "in": "header", "description": text, "schema": schema}]

    def _described(self, field: FieldDescriptor) -> Object:
        text = described(field, comments.of(self._comments, field.full_name))
        return ({"description": text} if text else {}) | {"schema": self._schemas.value(field)}

    def _request_body(self) -> Object:
        body = self._one_body()
        if self._method.client_streaming:
            text = "The messages as they are to be sent: JSON values one after the other, with or without white space."
            body = {"description": text, **body}
        if self._raw_uploads and self._takes_raw():
            body["content"] |= RAW_CONTENT
            text = "Or any other content as it is, or as the one file of a form, whose other parts fill fields."
            body["description"] = f"{body.get('description', '')} {text}".strip()
        return body

    def _takes_raw(self) -> bool:
        request, body = self._method.input_type, self._binding.body
        fields = [] if body == "*" else walk(request, body)
        return raw_target(request, fields, lambda message: message) is not None

    def _one_body(self) -> Object:
        binding, request = self._binding, self._method.input_type
        if binding.body != "*":
            field = walk(request, binding.body)[-1]
            return {
                "required": is_required(field),
                "content": {"application/json": {"schema": self._schemas.value(field)}},
            }
        in_path = {fields[0].name for fields in self._variables if len(fields) == 1}
        left = [field for field in request.fields if field.name not in in_path and is_required(field)]
        schema = self._schemas.without(request, in_path) if in_path else self._schemas.message(request)
        return {"required": bool(left), "content": {"application/json": {"schema": schema}}}

    def _success(self) -> Object:
        method, binding = self._method, self._binding
        output, field = method.output_type, None
        if binding.response_body and binding.response_body != "*":
            field = walk(output, binding.response_body)[-1]
        kind = output if field is None else field.message_type
        if kind is not None and kind.full_name == HTTP_BODY:
            return raw_answer(streams=method.server_streaming)
        schema = self._schemas.message(output) if field is None else self._schemas.member(field)
        return stream_answer(schema) if method.server_streaming else unary_answer(schema)

    def _errors(self) -> Object:
        method, binding = self._method, self._binding
        rule = access_rule(method)
        return self._error_responses.of(
            takes_input=bool(method.input_type.fields),
            has_body=bool(binding.body),
            changes=binding.http_method not in _READING,
            guarded=rule is not None,
            streams=method.server_streaming,
        )
