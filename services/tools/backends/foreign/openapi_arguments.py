"""Reads the parameters and the body of an operation of an OpenAPI document as arguments. Runs in the sandbox."""

import re
from dataclasses import dataclass, field
from typing import Any

from services.tools.backends.foreign.openapi_schemas import (
    Budget,
    CannotExpress,
    Json,
    Translation,
    free_name,
    resolved,
)
from services.tools.rules.requests import OURS

_WITHOUT_BODY = ("get", "delete")
_MOST_PARAMETERS = 100
# As the contract of HttpSource has it.
_MOST_NAME = 100
_FORM = "application/x-www-form-urlencoded"
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json|\*/\*|application/\*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# OpenAPI says of these that they are no parameters.
_NOT_HEADERS = {"accept", "content-type", "authorization", "cookie"}
_STYLES = {"path": "simple", "query": "form", "header": "simple"}
# With these an object's schema says more than which properties it has.
_MORE = {"anyOf", "oneOf", "not", "if", "enum", "const", "patternProperties", "prefixItems", "items"}
_MOST_MERGED = 200


@dataclass(slots=True)
class Arguments:
    """What an operation takes, and where each argument goes; what is named nowhere goes into the body."""

    schema: Json
    in_path: list[str] = field(default_factory=list)
    in_query: list[str] = field(default_factory=list)
    in_headers: list[str] = field(default_factory=list)
    whole_body: str = ""
    """The argument that is the body, when the body is no object of arguments."""
    is_form: bool = False


def arguments_of(document: Json, method: str, item: Json, operation: Json, budget: Budget) -> Arguments:
    """Return the arguments of an operation. Raises CannotExpress."""
    translation = Translation(document, budget)
    found = Arguments({"type": "object", "properties": {}, "required": []})
    given: dict[tuple[str, str], Json] = {}
    for one in (*(item.get("parameters") or ()), *(operation.get("parameters") or ())):
        parameter = resolved(document, one)
        given[str(parameter.get("in")), _name_of(parameter)] = parameter
    if len(given) > _MOST_PARAMETERS:
        raise CannotExpress(f"it has more than {_MOST_PARAMETERS} parameters")
    for (place, name), parameter in given.items():
        _add_parameter(found, translation, place, name, parameter)
    body = operation.get("requestBody")
    if body is not None:
        _add_body(found, translation, document, method, resolved(document, body))
    found.schema["required"] = sorted(set(found.schema["required"]))
    if translation.definitions:
        found.schema["$defs"] = translation.definitions
    return found


def _name_of(parameter: Json) -> str:
    name = parameter.get("name")
    if not isinstance(name, str) or not name:
        raise CannotExpress("it has a parameter without a name")
    if len(name) > _MOST_NAME or not name.isprintable():
        raise CannotExpress(
            f"the name of the parameter {name[:100]!a} is longer than {_MOST_NAME} characters, or cannot be printed"
        )
    return name


def _add_parameter(found: Arguments, translation: Translation, place: str, name: str, parameter: Json) -> None:
    if place == "header" and name.lower() in _NOT_HEADERS | OURS:
        return
    if place not in _STYLES:
        if parameter.get("required") is True or place != "cookie":
            raise CannotExpress(f"the parameter {name[:100]} stands in {place[:20]}")
        return
    if name in found.schema["properties"]:
        raise CannotExpress(f"it has two parameters {name[:100]}")
    if place == "header" and not _HEADER.fullmatch(name):
        raise CannotExpress(f"{name[:100]!a} is no name of a header")
    schema = translation.schema(_schema_of(parameter))
    _check_style(translation, place, name, parameter)
    if "description" in parameter and isinstance(schema, dict):
        schema = {**schema, "description": str(parameter["description"])[:4000]}
    found.schema["properties"][name] = schema
    {"path": found.in_path, "query": found.in_query, "header": found.in_headers}[place].append(name)
    if parameter.get("required") is True or place == "path":
        found.schema["required"].append(name)


def _schema_of(parameter: Json) -> Any:
    content = parameter.get("content")
    if isinstance(content, dict):
        media: Json = next(iter(content.values()), {})
        return media.get("schema", {})
    return parameter.get("schema", {})


def _check_style(translation: Translation, place: str, name: str, parameter: Json) -> None:
    style = parameter.get("style", _STYLES[place])
    listed = place == "query" and parameter.get("explode") is False and _may_be_many(translation, parameter)
    if style != _STYLES[place] or listed:
        told = f"{style}, not exploded" if listed else str(style)[:40]
        raise CannotExpress(f"the parameter {name[:100]} has the style {told}")


def _may_be_many(translation: Translation, parameter: Json) -> bool:
    schema = translation.schema(_schema_of(parameter))
    kind = schema.get("type") if isinstance(schema, dict) else None
    return kind in ("array", "object") or isinstance(kind, list)


def _add_body(found: Arguments, translation: Translation, document: Json, method: str, body: Json) -> None:
    content = body.get("content") or {}
    kinds = {str(kind).partition(";")[0].strip().lower(): held for kind, held in content.items()}
    found.is_form = not any(_JSON.fullmatch(kind) for kind in kinds) and _FORM in kinds
    held = next((held for kind, held in kinds.items() if _JSON.fullmatch(kind)), kinds.get(_FORM))
    if held is None or method in _WITHOUT_BODY:
        if body.get("required") is True and kinds:
            told = f"with {method.upper()}" if held is not None else f"of {next(iter(kinds))[:100]}"
            raise CannotExpress(f"it needs a body {told}, which cannot be sent")
        return
    given = held.get("schema", {}) if isinstance(held, dict) else {}
    needed = body.get("required", True) is not False
    members = _members(document, given, [_MOST_MERGED])
    schema = translation.schema(members if members is not None else given)
    properties = schema.get("properties", {}) if members is not None else {}
    # A body of any object, and one whose properties are called like parameters, is an argument of its own.
    if not properties or set(properties) & set(found.schema["properties"]):
        if found.is_form:
            raise CannotExpress("its form is no object of fields, or has one that is also a parameter")
        _add_whole(found, translation.schema(given), needed)
        return
    found.schema["properties"] |= properties
    found.schema["required"] += schema.get("required", []) if needed else []
    if schema.get("additionalProperties") is False:
        found.schema["additionalProperties"] = False


def _add_whole(found: Arguments, schema: Any, needed: bool) -> None:
    name = free_name("body", found.schema["properties"])
    found.whole_body = name
    found.schema["properties"][name] = schema
    if needed:
        found.schema["required"].append(name)


def _members(document: Json, given: Any, left: list[int]) -> Json | None:
    """Return an object's schema with what its `allOf` says put together; None for what has no plain properties.

    `left` holds how many schemas may still be looked at.
    """
    left[0] -= 1
    if left[0] < 0 or not isinstance(given, dict):
        return None
    schema = resolved(document, given)
    if set(schema) & _MORE or schema.get("type", "object") != "object" or schema.get("nullable") is True:
        return None
    found: Json = {"properties": dict(schema.get("properties") or {}), "required": list(schema.get("required") or [])}
    for part in schema.get("allOf") or ():
        # Its `additionalProperties` is not taken over: each part knows its own properties only.
        inner = _members(document, part, left)
        if inner is None:
            return None
        for name, one in inner["properties"].items():
            before = found["properties"].get(name)
            found["properties"][name] = one if before in (None, one) else {"allOf": [before, one]}
        found["required"] += inner["required"]
    others = schema.get("additionalProperties", True)
    if isinstance(others, dict) and others:
        return None
    if others is False and "allOf" not in schema:
        found["additionalProperties"] = False
    return found
