"""Read the operations of an OpenAPI 3 document as tools."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urljoin

import yaml

from services.chassis.identifiers import new_id
from services.tools.errors import DocumentInvalid
from services.tools.rules import HttpSource, SecretHeader, Tool

_METHODS = {"get": True, "put": True, "delete": True, "post": False, "patch": False}
"""The methods that become tools, and whether doing them twice does no more than doing them once (RFC 9110)."""
_SAFE = ("get",)
_MOST_DEPTH = 40

Json = dict[str, Any]


def tools_of(
    document: str, operation_ids: Sequence[str], server_url: str, headers: tuple[SecretHeader, ...]
) -> list[Tool]:
    """Return a tool for each wanted operation, for each one of the document when none is named.

    Arguments are the parameters in path and query and the properties of a JSON body. What changes something needs
    approval, until the owner says otherwise. Raises DocumentInvalid.
    """
    parsed = _parsed(document)
    try:
        tools = dict(_operations(parsed, server_url, headers))
    except (AttributeError, KeyError, TypeError) as error:
        raise DocumentInvalid(cause=f"it is not as OpenAPI wants it ({error!r:.100})") from None
    for name in operation_ids:
        if name not in tools:
            raise DocumentInvalid(cause=f"there is no operation {name}")
    wanted = [tools[name] for name in operation_ids] if operation_ids else list(tools.values())
    if not wanted:
        raise DocumentInvalid(cause="there is no operation in it")
    return wanted


def _parsed(document: str) -> Json:
    try:
        if document.lstrip().startswith("{"):
            parsed = json.loads(document)
        else:
            # What an alias stands for can grow without end.
            if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(document, Loader=yaml.CSafeLoader)):
                raise DocumentInvalid(cause="YAML aliases are not read")
            # The safe loader knows no tags that make objects.
            parsed = yaml.load(document, Loader=yaml.CSafeLoader)
    except (json.JSONDecodeError, yaml.YAMLError, RecursionError):
        raise DocumentInvalid(cause="it is neither JSON nor YAML") from None
    if not isinstance(parsed, dict) or not str(parsed.get("openapi", "")).startswith("3."):
        raise DocumentInvalid(cause="it is not an OpenAPI 3 document")
    return parsed


def _operations(document: Json, server_url: str, headers: tuple[SecretHeader, ...]) -> Iterator[tuple[str, Tool]]:
    base = server_url or str((document.get("servers") or [{}])[0].get("url", ""))
    if not base.startswith(("http://", "https://")):
        raise DocumentInvalid(cause="it names no server with an absolute URL: give server_url")
    for path, item in document.get("paths", {}).items():
        shared = item.get("parameters", [])
        for method, idempotent in _METHODS.items():
            if method not in item:
                continue
            operation = item[method]
            name = operation.get("operationId") or f"{method}{path}"
            schema, query = _arguments(document, [*shared, *operation.get("parameters", [])], operation)
            url = urljoin(base.rstrip("/") + "/", path.lstrip("/"))
            described = operation.get("description") or operation.get("summary") or ""
            yield (
                name,
                Tool(
                    tool_id=new_id(),
                    name=re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64],
                    description=str(described)[:4000],
                    arguments_schema=json.dumps(schema),
                    source=HttpSource(method.upper(), url, tuple(query)),
                    secret_headers=headers,
                    idempotent=idempotent,
                    needs_approval=method not in _SAFE,
                ),
            )


def _arguments(document: Json, parameters: list[Json], operation: Json) -> tuple[Json, list[str]]:
    properties: Json = {}
    required: list[str] = []
    query: list[str] = []
    for parameter in (_resolved(document, one) for one in parameters):
        if parameter["in"] not in ("path", "query"):
            continue
        name = parameter["name"]
        described = {"description": parameter["description"]} if "description" in parameter else {}
        properties[name] = {**_resolved(document, parameter.get("schema", {})), **described}
        if parameter["in"] == "query":
            query.append(name)
        if parameter.get("required") or parameter["in"] == "path":
            required.append(name)
    body = _resolved(document, operation.get("requestBody", {}))
    content = body.get("content", {}).get("application/json")
    if content is not None:
        schema = _resolved(document, content.get("schema", {}))
        properties |= schema.get("properties", {})
        required += schema.get("required", []) if body.get("required", True) else []
    return {"type": "object", "properties": properties, "required": sorted(set(required))}, query


def _resolved(document: Json, value: Any, depth: int = 0) -> Any:
    """Put what a `$ref` into the document points to in its place; others are refused, and so are endless ones."""
    if depth > _MOST_DEPTH:
        raise DocumentInvalid(cause="its references are too deep")
    if isinstance(value, list):
        return [_resolved(document, one, depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        return _resolved(document, _pointed_to(document, reference), depth + 1)
    return {name: _resolved(document, one, depth + 1) for name, one in value.items()}


def _pointed_to(document: Json, reference: str) -> Any:
    if not reference.startswith("#/"):
        raise DocumentInvalid(cause=f"the reference {reference[:100]} leads out of the document")
    found: Any = document
    for part in reference[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            raise DocumentInvalid(cause=f"the reference {reference[:100]} leads nowhere")
        found = found[name]
    return found
