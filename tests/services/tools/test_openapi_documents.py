"""OpenAPI documents become tools; hostile ones are refused soon, and harm neither process nor loop."""

import asyncio
import json
import time
from typing import Any

import pytest
import yaml

from services.chassis.sandbox.running import Sandbox
from services.tools.backends.bounded_schemas import BoundedSchemas
from services.tools.backends.openapi_documents import OpenApiDocuments
from services.tools.errors import DocumentInvalid
from services.tools.ports import Skipped
from services.tools.rules import HttpSource, Tool

SERVER = "https://pets.example/v1"


async def read(document: str | dict[str, Any], *names: str, server: str = SERVER) -> tuple[list[Tool], list[Skipped]]:
    """Read a document in a sandbox."""
    text = document if isinstance(document, str) else json.dumps(document)
    return await OpenApiDocuments(Sandbox()).tools(text, names, server, "ann")


def document(paths: dict[str, Any], version: str = "3.0.3", **schemas: Any) -> dict[str, Any]:
    """Return an OpenAPI document."""
    info = {"title": "Pets", "version": "1"}
    return {"openapi": version, "info": info, "paths": paths, "components": {"schemas": schemas}}


def body(schema: Any, kind: str = "application/json", **more: Any) -> dict[str, Any]:
    """Return an operation that takes a body."""
    return {"requestBody": {"content": {kind: {"schema": schema}}, **more}}


def to(name: str) -> dict[str, str]:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


async def one(operation: dict[str, Any], version: str = "3.0.3", **schemas: Any) -> tuple[HttpSource, dict[str, Any]]:
    """Return the source and the schema of the tool that an operation becomes."""
    (tool,), skipped = await read(document({"/a": {"post": operation}}, version, **schemas))
    assert skipped == []
    assert isinstance(tool.source, HttpSource)
    return tool.source, json.loads(tool.arguments_schema)


NESTED: dict[str, Any] = {
    f"L{n}": {"type": "object", "properties": {f"p{m}": to(f"L{n + 1}") for m in range(10)}} for n in range(6)
}
TWICE: dict[str, Any] = {f"L{n}": {"allOf": [to(f"L{n + 1}"), to(f"L{n + 1}")]} for n in range(27)}
HEAD = "openapi: 3.0.0\ninfo: {title: t, version: 1}\n"


@pytest.mark.parametrize(
    ("hostile", "told"),
    [
        ("- " * 60_000 + "x", "100 levels"),
        ("- " * 900_000 + "x", "100 levels"),
        (HEAD + "x: " + "[" * 500_000, "100 levels"),
        (HEAD + "x: " + "{a: " * 200_000, "100 levels"),
        (HEAD + "".join(" " * n + "a:\n" for n in range(1_500)), "100 levels"),
        ("? " * 60_000, "key"),
        ("&a " * 60_000, "YAML"),
        ("!!map " * 60_000, "YAML"),
        ("[" * 1_000_000, "JSON"),
        ('{"a":' * 300_000, "JSON"),
        ("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
        ), "200000 values"),
        ("a0: &a0 {x: 1}\n" + "".join(f"b: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in range(40)), "200000 values"),
        ("a: &a [*a]", "stands in what it stands for"),
        ("a: *b", "stands for nothing"),
        (HEAD + "paths: {}\n---\n" * 5, "more than one"),
        ("!!python/object/apply:os.system ['true']", "tag"),
        (HEAD + "x: !mine 5", "tag"),
        (HEAD + "x: " + "9" * 5_000, "number"),
        (HEAD + "x: .inf", "number"),
        (HEAD + 'x: "\\0"', "NUL"),
        (HEAD + "x: \x07", "cannot be read"),
        ("-\n" * 900_000, "200000 values"),
        ("a" * 1_900_000, "not an OpenAPI 3"),
        ("", "not an OpenAPI 3"),
        (json.dumps(document({"/a": {"post": body(to("L0"))}}, **NESTED, L6={"type": "string"})), "100000 parts"),
        (json.dumps(document({"/a": {"post": body(to("L0"))}}, **TWICE, L27={"type": "object"})), "parts"),
        (json.dumps(document({"/a": {"get": {"parameters": [to("A")]}}}, A=to("B"), B=to("A"))), "too deep"),
        (json.dumps(document({f"/a{n}": {"get": {}} for n in range(501)})), "501 operations"),
    ],
)  # fmt: skip
async def test_a_hostile_document_is_refused_soon(hostile: str, told: str) -> None:
    task = asyncio.create_task(read(hostile))
    began, longest = time.monotonic(), 0.0
    while not task.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)
    with pytest.raises(DocumentInvalid, match=told):
        await task
    assert longest < 2
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
async def test_a_schema_made_of_itself_ends(keyword: str) -> None:
    loop: dict[str, Any] = {keyword: [to("A"), to("A")]}
    source, schema = await one(body(to("A")), A=loop)
    assert source.body_argument == "body"
    assert schema["$defs"] == {"A": {keyword: [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}}


async def test_a_recursive_schema_refers_to_itself() -> None:
    node = {"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "children": {"type": "array", "items": to("Node")},
    }}  # fmt: skip
    source, schema = await one(body(to("Node")), Node=node)
    assert source == HttpSource("POST", f"{SERVER}/a")
    assert schema["properties"] == {
        "name": {"type": "string"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
    }
    text = json.dumps(schema)
    good, schemas = '{"name": "a", "children": [{"name": "b", "children": []}]}', BoundedSchemas(Sandbox())
    await schemas.check([text], "")
    assert await schemas.arguments(text, good, "") == json.loads(good)


async def test_a_reference_to_something_small_is_written_out() -> None:
    _, schema = await one(body({"type": "object", "properties": {"kind": to("Kind")}}), Kind={"enum": ["cat", "dog"]})
    assert schema == {"type": "object", "properties": {"kind": {"enum": ["cat", "dog"]}}, "required": []}


async def test_references_that_fan_out_stay_references() -> None:
    levels: dict[str, Any] = {f"L{n}": NESTED[f"L{n}"] for n in range(3)}
    _, schema = await one(body(to("L0")), **levels, L3={"type": "string"})
    assert schema["properties"]["p9"] == {"$ref": "#/$defs/L1"}
    assert len(json.dumps(schema)) < 10_000


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"type": "integer", "exclusiveMinimum": 0}),
        ({"type": "integer", "maximum": 9, "exclusiveMaximum": True}, {"type": "integer", "exclusiveMaximum": 9}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": False}, {"type": "integer", "minimum": 0}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "exclusiveMinimum": 0}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        ({"type": "string", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"allOf": [to("K")], "nullable": True}, {"anyOf": [{"allOf": [{"enum": ["x"]}]}, {"type": "null"}]}),
        ({"type": "string", "example": "x", "xml": {"name": "y"}, "x-internal": 1}, {"type": "string"}),
        ({"type": "array", "items": {"type": "string", "nullable": True}},
         {"type": "array", "items": {"type": ["string", "null"]}}),
        ({"oneOf": [{"type": "string"}, to("K")], "discriminator": {"propertyName": "k"}},
         {"oneOf": [{"type": "string"}, {"enum": ["x"]}]}),
        ({"type": "object", "additionalProperties": to("K")},
         {"type": "object", "additionalProperties": {"enum": ["x"]}}),
        ({"type": "object", "required": ["id", "n"], "properties": {"id": {"readOnly": True}, "n": {"type": "string"}}},
         {"type": "object", "required": ["n"], "properties": {"n": {"type": "string"}}}),
        ({"type": ["string", "null"], "const": "x"}, {"type": ["string", "null"], "const": "x"}),
    ],
)  # fmt: skip
async def test_schemas_of_3_0_become_those_of_2020_12(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    _, schema = await one(body({"type": "object", "properties": {"a": given}}), K={"enum": ["x"]})
    assert schema["properties"] == {"a": wanted}


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/x.y+json", "*/*", "Application/JSON"])
async def test_json_is_json_under_other_names(kind: str) -> None:
    source, schema = await one(body({"type": "object", "properties": {"a": {"type": "string"}}}, kind))
    assert (source.form, source.body_argument, set(schema["properties"])) == (False, "", {"a"})


async def test_all_of_is_put_together() -> None:
    pet = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    more = {"type": "object", "required": ["age"], "properties": {"age": {"type": "integer"}}}
    source, schema = await one(body({"allOf": [to("Pet"), more]}, required=True), Pet=pet)
    assert source.body_argument == ""
    assert set(schema["properties"]) == {"name", "age"}
    assert schema["required"] == ["age", "name"]


@pytest.mark.parametrize(
    "given",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "string"},
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "object", "additionalProperties": {"type": "integer"}},
    ],
)
async def test_a_body_that_is_no_object_of_arguments_is_one_argument(given: dict[str, Any]) -> None:
    source, schema = await one(body(given, required=True))
    assert source.body_argument == "body"
    assert schema == {"type": "object", "properties": {"body": given}, "required": ["body"]}


async def test_a_body_whose_field_is_called_like_a_parameter_is_one_argument() -> None:
    paths = {"/a/{id}": {"put": {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        **body({"type": "object", "properties": {"id": {"type": "integer"}}}),
    }}}  # fmt: skip
    ((tool,), _) = await read(document(paths))
    assert isinstance(tool.source, HttpSource)
    assert tool.source.body_argument == "body"
    assert json.loads(tool.arguments_schema)["properties"]["id"] == {"type": "string"}


async def test_forms_and_headers_are_arguments() -> None:
    form = {"type": "object", "properties": {"grant": {"type": "string"}}}
    operation = body(form, "application/x-www-form-urlencoded") | {"parameters": [
        {"name": "X-Trace", "in": "header", "required": True, "description": "Which.", "schema": {"type": "string"}},
        {"name": "authorization", "in": "header", "required": True, "schema": {"type": "string"}},
        {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}},
        {"name": "session", "in": "cookie", "schema": {"type": "string"}},
        {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
    ]}  # fmt: skip
    source, schema = await one(operation)
    assert source == HttpSource("POST", f"{SERVER}/a", ("tag",), (), ("X-Trace",), "", True)
    assert set(schema["properties"]) == {"X-Trace", "tag", "grant"}
    assert schema["properties"]["X-Trace"] == {"type": "string", "description": "Which."}
    assert schema["required"] == ["X-Trace"]


async def test_yaml_holds_what_json_holds() -> None:
    text = HEAD + (
        "paths:\n  /a:\n    get: &op\n      parameters:\n"
        "        - &since {name: since, in: query, schema: {type: string, enum: [2020-01-01, on, 010, 1_000, 12:30]}}\n"
        "        - <<: *since\n          name: until\n"
        "      responses: {200: {description: ok}}\n"
        "  /b:\n    get: *op\n"
    )
    tools, skipped = await read(text)
    assert (len(tools), skipped) == (2, [])
    properties = json.loads(tools[1].arguments_schema)["properties"]
    assert properties["since"]["enum"] == ["2020-01-01", "on", 10, "1_000", "12:30"]
    assert properties["until"] == properties["since"]


async def test_names_in_any_script_become_names_for_models() -> None:
    paths = {
        "/users:search": {"get": {"operationId": "найтиПользователей"}},
        "/người-dùng": {"post": {"operationId": "tạoNgườiDùng"}, "get": {"operationId": "ユーザー"}},
        "/up": {"post": {"operationId": "1up"}, "put": {"operationId": "1up!"}},
        "/users/{id}:ban": {"post": {"parameters": [{"name": "id", "in": "path", "required": True}]}},
    }
    tools, skipped = await read(document(paths))
    assert skipped == []
    urls = {tool.name: tool.source.url for tool in tools if isinstance(tool.source, HttpSource)}
    assert urls == {
        "get_users_search": f"{SERVER}/users:search",
        "get_nguoi-dung": f"{SERVER}/ng%C6%B0%E1%BB%9Di-d%C3%B9ng",
        "taoNguoiDung": f"{SERVER}/ng%C6%B0%E1%BB%9Di-d%C3%B9ng",
        "_1up": f"{SERVER}/up",
        "_1up_2": f"{SERVER}/up",
        "post_users_id_ban": f"{SERVER}/users/{{id}}:ban",
    }
    ((tool,), _) = await read(document(paths), "найтиПользователей")
    assert tool.name == "get_users_search"


async def test_a_description_has_no_control_characters() -> None:
    tools, _ = await read(document({"/a": {"get": {"description": "Rings\a the \x9b31mbell.\r\n\tTwice."}}}))
    assert [tool.description for tool in tools] == ["Rings\ufffd the \ufffd31mbell.\r\n\tTwice."]


async def test_servers_are_those_of_the_operation() -> None:
    varied = {
        "url": "https://{region}.pets.example/{v}",
        "variables": {"region": {"default": "eu"}, "v": {"default": 2}},
    }
    paths = {"/a": {"get": {"servers": [{"url": "https://a.example/"}]}}, "/b": {"get": {}}}
    tools, _ = await read({**document(paths), "servers": [varied]}, server="")
    assert {tool.source.url for tool in tools if isinstance(tool.source, HttpSource)} == {
        "https://a.example/a",
        "https://eu.pets.example/2/b",
    }


CANNOT: dict[str, tuple[dict[str, Any], str]] = {
    "upload": (body({"type": "object"}, "multipart/form-data", required=True), "multipart/form-data"),
    "text": (body({"type": "string"}, "text/plain", required=True), "text/plain"),
    "deep": ({"parameters": [{"name": "f", "in": "query", "style": "deepObject"}]}, "deepObject"),
    "many": ({"parameters": [{"name": "f", "in": "query", "explode": False, "schema": {"type": "array"}}]}, "exploded"),
    "cookie": ({"parameters": [{"name": "f", "in": "cookie", "required": True}]}, "cookie"),
    "nameless": ({"parameters": [{"in": "query", "schema": {}}]}, "without a name"),
    "empty": ({"parameters": [{"name": "", "in": "query", "schema": {}}]}, "without a name"),
    "bell": ({"parameters": [{"name": "a\a", "in": "query", "schema": {}}]}, "cannot be printed"),
    "long": ({"parameters": [{"name": "n" * 101, "in": "query", "schema": {}}]}, "100 characters"),
    "outward": (body({"$ref": "other.yaml#/a"}), "leads out of the document"),
    "nowhere": (body(to("Nobody")), "leads nowhere"),
    "kind": (body({"type": "object", "properties": {"a": {"type": "objekt"}}}), "objekt"),
    "look": (body({"type": "object", "properties": {"a": {"pattern": "(?=x)"}}}), "regex"),
    "dynamic": (body({"type": "object", "properties": {"a": {"$dynamicRef": "#a"}}}), "dynamicRef"),
    "shape": ({"parameters": ["x"]}, "OpenAPI"),
    "shapes": (body({"type": "object", "properties": []}), "OpenAPI|kind"),
}  # fmt: skip


async def test_what_no_tool_can_do_is_named_and_the_rest_is_taken() -> None:
    paths = {f"/{name}": {"post": {"operationId": name, **operation}} for name, (operation, _) in CANNOT.items()}
    written = document({**paths, "/ok": {"get": {"operationId": "ok"}}})
    tools, skipped = await read(written)
    assert [tool.name for tool in tools] == ["ok"]
    told = {one.operation: one.reason for one in skipped}
    assert told.keys() == CANNOT.keys()
    for name, (_, why) in CANNOT.items():
        assert any(part in told[name] for part in why.split("|")), (name, told[name])
    with pytest.raises(DocumentInvalid, match=r"upload: .*multipart"):
        await read(written, "ok", "upload")


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
async def test_a_large_document_is_read(write: Any) -> None:
    pet = {"type": "object", "properties": {f"f{m}": {"type": "string"} for m in range(20)}}
    schemas: dict[str, Any] = {f"S{n}": pet | {"title": f"pet {n}"} for n in range(99)}
    paths = {f"/p{n}": {"post": {"operationId": f"op{n}", **body(to(f"S{n % 99}"))}} for n in range(300)}
    tools, skipped = await read(write(document(paths, **schemas)))
    assert (len(tools), skipped) == (300, [])
