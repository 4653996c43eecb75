"""Writes an OpenAPI 3.1 document from the descriptors: what the gateway serves, as its clients see it."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from parley.access.v1 import access_pb2

from adapters.rest import comments
from adapters.rest.annotations import Binding, access_rule, http_bindings, is_output_only, is_required, resumption
from adapters.rest.binding import walk
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.endpoint import HTTP_BODY
from adapters.rest.fields import is_map
from adapters.rest.openapi_schemas import STATUS, STATUS_SCHEMA, Schemas
from adapters.rest.path_template import PathTemplate, parse_template
from adapters.rest.well_known import WRAPPERS

Object = dict[str, Any]
Wanted = Callable[[MethodDescriptor, Binding], bool]
_METHODS = {"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"}
_QUERY_MESSAGES = WRAPPERS | {f"google.protobuf.{kind}" for kind in ("Timestamp", "Duration", "FieldMask")}
_MAX_QUERY_DEPTH = 3


def openapi_document(descriptors: DescriptorSet, title: str, version: str, wanted: Wanted = lambda *_: True) -> Object:
    """Return the document of the bindings that are wanted."""
    schemas = Schemas(descriptors.comments)
    paths: Object = {}
    tags: Object = {}
    for method in descriptors.methods():
        if method.client_streaming:
            continue
        for number, binding in enumerate(http_bindings(method)):
            if binding.http_method in _METHODS and wanted(method, binding):
                operation = _Operation(descriptors, schemas, method, binding)
                # The last registered binding of a path and method is the one that the gateway serves.
                paths.setdefault(operation.path, {})[binding.http_method.lower()] = operation.describe(number)
                service = method.containing_service
                tags[service.name] = comments.of(descriptors.comments, service.full_name)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
        "paths": paths,
        "components": {
            "schemas": {STATUS: STATUS_SCHEMA, **dict(sorted(schemas.components.items()))},
            "responses": {
                "Error": {
                    "description": "An error: the gRPC code, a text and details such as google.rpc.ErrorInfo.",
                    "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{STATUS}"}}},
                }
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


class _Operation:
    """One path and method of the document."""

    def __init__(
        self, descriptors: DescriptorSet, schemas: Schemas, method: MethodDescriptor, binding: Binding
    ) -> None:
        self._comments = descriptors.comments
        self._schemas = schemas
        self._method = method
        self._binding = binding
        template = parse_template(binding.template)
        self._variables = [walk(method.input_type, variable.field_path) for variable in template.variables]
        self.path = _open_path(template, [_json_path(fields) for fields in self._variables])

    def describe(self, number: int) -> Object:
        method, binding = self._method, self._binding
        comment = comments.of(self._comments, method.full_name)
        operation: Object = {
            "operationId": f"{method.containing_service.name}_{method.name}" + (f"_{number}" if number else ""),
            "tags": [method.containing_service.name],
        }
        if comment:
            operation |= {"summary": comments.first_sentence(comment), "description": comment}
        if method.GetOptions().deprecated:
            operation["deprecated"] = True
        if parameters := [*self._path_parameters(), *self._query_parameters(), *self._header_parameters()]:
            operation["parameters"] = parameters
        if binding.body:
            operation["requestBody"] = self._request_body()
        operation["responses"] = {**self._success(), **self._errors()}
        rule = access_rule(method)
        if rule is not None:
            operation["security"] = [] if rule.level == access_pb2.LEVEL_PUBLIC else [{"bearer": []}]
            if rule.roles:
                text = f"Needs one of the roles: {', '.join(rule.roles)}."
                operation["description"] = f"{operation.get('description', '')}\n\n{text}".strip()
        return operation

    def _path_parameters(self) -> list[Object]:
        return [
            {"name": _json_path(fields), "in": "path", "required": True, **self._described(fields[-1])}
            for fields in self._variables
        ]

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
                parameter = {"name": _json_path(fields), "in": "query", **self._described(field)}
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
        text = comments.of(self._comments, field.full_name)
        return ({"description": text} if text else {}) | {"schema": self._schemas.value(field)}

    def _request_body(self) -> Object:
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
            return {"200": {"description": "The content, as it is.", "content": {"*/*": {}}}}
        schema = self._schemas.message(output) if field is None else self._schemas.member(field)
        if not method.server_streaming:
            return {"200": {"description": "The answer.", "content": {"application/json": {"schema": schema}}}}
        line = {
            "type": "object",
            "properties": {"result": schema, "error": {"$ref": f"#/components/schemas/{STATUS}"}},
        }
        events = {"type": "string", "description": "Server-sent events; the data of each is a message as JSON."}
        return {
            "200": {
                "description": "The messages as they come: one JSON object a line, or server-sent events.",
                "content": {"application/json": {"schema": line}, "text/event-stream": {"schema": events}},
            }
        }

    def _errors(self) -> Object:
        error = {"$ref": "#/components/responses/Error"}
        rule = access_rule(self._method)
        codes = ["400"] if self._variables or self._method.input_type.fields else []
        if rule is not None and rule.level != access_pb2.LEVEL_PUBLIC:
            codes += ["401", "403"]
        return dict.fromkeys([*codes, "default"], error)


def _json_path(fields: Any) -> str:
    return ".".join(field.json_name for field in fields)


def _open_path(template: PathTemplate, names: list[str]) -> str:
    parts = list(template.segments)
    for variable, name in reversed(list(zip(template.variables, names, strict=True))):
        own = parts[variable.start : variable.end]
        # `{name=shelves/*}` shows its literals; its wildcards are one parameter.
        shown = [f"{{{name}}}" if part in ("*", "**") else part for part in own]
        parts[variable.start : variable.end] = shown
    return "/" + "/".join(parts) + (f":{template.verb}" if template.verb else "")
