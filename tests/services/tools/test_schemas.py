"""Schemas of strangers and arguments are checked, and whatever they are, that ends soon and blocks nobody."""

import asyncio
import json
import time
from typing import Any

import pytest

from services.chassis.sandbox.running import Sandbox
from services.tools.backends.bounded_schemas import BoundedSchemas
from services.tools.errors import ArgumentsInvalid, SchemaInvalid

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"city": {"type": "string", "pattern": "^(a+)+$"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["days"],
        "additionalProperties": False,
    }
)


async def checked(schema: str, arguments: str) -> dict[str, Any]:
    """Return arguments that are as a schema wants them."""
    return await BoundedSchemas(Sandbox()).arguments(schema, arguments, "")


async def test_arguments_that_fit_are_read() -> None:
    assert await checked(SCHEMA, '{"city": "aa", "days": 2}') == {"city": "aa", "days": 2}
    assert await checked('{"type": "object"}', "") == {}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("{}", "days"),
        ('{"days": 0}', "days"),
        ('{"days": 1.5}', "days"),
        ('{"days": 1, "town": "x"}', "town"),
        ('{"days": "1"}', "days"),
        ("[1]", "not a JSON object"),
        ("{days: 1}", "not JSON"),
        ("[" * 100_000, "100 levels"),
        ('{"days": ' + "9" * 5_000 + "}", "100 characters"),
        ('{"days": NaN}', "NaN"),
        ('{"days": 1e999}', "too large"),
        ('{"days": 1, "days": 2}', "twice"),
        (r'{"days": 1, "city": "\ud83d"}', "surrogate"),
        (r'{"days": 1, "city": "\u0000"}', "NUL"),
    ],
)
async def test_arguments_that_do_not_fit_are_named(arguments: str, named: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=named):
        await checked(SCHEMA, arguments)


@pytest.mark.parametrize(
    "schema",
    [
        '{"type": "string"}',
        "[]",
        "{",
        '{"type": "objekt"}',
        '{"properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}}',
        '{"properties": {"a": {"$ref": "file:///etc/passwd"}}}',
        '{"properties": {"a": {"pattern": "(?=lookahead)"}}}',
        '{"properties": {"a": {"minimum": "one"}}}',
    ],
)
async def test_a_schema_that_cannot_be_used_is_refused(schema: str) -> None:
    with pytest.raises(SchemaInvalid):
        await BoundedSchemas(Sandbox()).check([schema], "")


def doubling(levels: int, keyword: str = "allOf") -> dict[str, Any]:
    """Return a schema in which each level refers to the next one twice."""
    definitions: dict[str, Any] = {
        f"l{n}": {keyword: [{"$ref": f"#/$defs/l{n + 1}"}, {"$ref": f"#/$defs/l{n + 1}"}]} for n in range(levels)
    }
    return {"$ref": "#/$defs/l0", "$defs": {**definitions, f"l{levels}": {"type": "object"}}}


def fanning(levels: int, spread: Any) -> dict[str, Any]:
    """Return a schema in which each level refers to the next one as `spread` does with a reference."""
    definitions = {f"l{n}": spread({"$ref": f"#/$defs/l{n + 1}"}) for n in range(levels)}
    return {"$ref": "#/$defs/l0", "$defs": {**definitions, f"l{levels}": {"type": "object"}}}


@pytest.mark.parametrize(
    "schema",
    [
        doubling(27),
        doubling(27, "anyOf"),
        doubling(27, "oneOf"),
        fanning(30, lambda ref: {"if": ref, "then": ref, "else": ref}),
        fanning(30, lambda ref: {"not": {"not": ref}, "dependentSchemas": {"a": ref}}),
        fanning(12, lambda ref: {"properties": {f"p{n}": ref for n in range(10)}}),
        fanning(30, lambda ref: {"additionalProperties": ref, "patternProperties": {"a": ref}}),
        fanning(30, lambda ref: {"prefixItems": [ref], "items": ref, "contains": ref}),
        fanning(30, lambda ref: {"propertyNames": ref, "$ref": ref["$ref"]}),
        {"properties": {"a": {"pattern": "((a{100}){100}){100}"}}},
        {"properties": {f"p{n}": {"pattern": f"[a-z]{{900}}{n}"} for n in range(1000)}},
    ],
)
async def test_a_schema_that_grows_when_its_references_are_written_out_is_refused(schema: dict[str, Any]) -> None:
    assert len(json.dumps(schema)) < 100_000
    with pytest.raises(SchemaInvalid, match=r"parts|regex"):
        await BoundedSchemas(Sandbox()).check([json.dumps(schema)], "ann")
    # Such a schema may be stored already.
    with pytest.raises(ArgumentsInvalid):
        await checked(json.dumps(schema), "{}")


def deep(levels: int) -> dict[str, Any]:
    """Return an object in an object in an object."""
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"a": found}
    return found


TWICE = {"allOf": [{"properties": {"a": {"$ref": "#/$defs/n"}}}, {"properties": {"a": {"$ref": "#/$defs/n"}}}]}
ONE_OF = {"oneOf": [{"properties": {"a": {"$ref": "#/$defs/n"}}}, {"additionalProperties": {"$ref": "#/$defs/n"}}]}
DYNAMIC = {"$dynamicAnchor": "n", "properties": {"a": {"anyOf": [{"$dynamicRef": "#n"}, {"$dynamicRef": "#n"}]}}}


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"$ref": "#/$defs/n", "$defs": {"n": TWICE}}, deep(95)),
        ({"$ref": "#/$defs/n", "$defs": {"n": ONE_OF}}, deep(95)),
        (DYNAMIC, deep(95)),
        ({"properties": {"a": {"items": {"enum": list(range(14_000))}}}}, {"a": [-1] * 30_000}),
        ({"properties": {"a": {"items": {"anyOf": [{"const": n} for n in range(4_000)]}}}}, {"a": ["x"] * 20_000}),
        ({"properties": {"a": {"contains": {"contains": {"const": 1}}, "minContains": 2}}}, {"a": [[0] * 300] * 150}),
        ({"properties": {"a": {"items": {"pattern": "(a?){900}b"}}}}, {"a": ["a" * 900] * 100}),
        ({"properties": {"a": {"pattern": "(x+x+)+y"}}}, {"a": "x" * 100_000}),
        ({"patternProperties": {f"^(a|b)*{n}$": False for n in range(2_000)}}, {f"abab{n}": n for n in range(4_000)}),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [{"a": [n]} for n in range(8_000)]}),
        ({"properties": {"a": {"multipleOf": 1e-300}}}, {"a": 1e300}),
        ({"$ref": "#"}, {}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, {}),
    ],
)  # fmt: skip
async def test_costly_arguments_end_soon_and_block_nobody(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    task = asyncio.create_task(checked(json.dumps(schema), json.dumps(arguments)))
    began, longest = time.monotonic(), 0.0
    while not task.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)
    assert time.monotonic() - began < 15
    assert longest < 2
    assert isinstance(task.exception(), ArgumentsInvalid | None)


async def test_a_recursive_schema_is_used() -> None:
    node = {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "additionalProperties": False}
    schema = json.dumps({"$ref": "#/$defs/n", "$defs": {"n": node}})
    await BoundedSchemas(Sandbox()).check([schema], "")
    assert await checked(schema, '{"a": {"a": {}}}') == {"a": {"a": {}}}
    with pytest.raises(ArgumentsInvalid, match=r"a\.a: .*b"):
        await checked(schema, '{"a": {"a": {"b": 1}}}')


async def test_a_schema_of_many_parts_is_used() -> None:
    schema = json.dumps({"properties": {"a": {"enum": [f"value {n}" for n in range(6_000)]}}})
    await BoundedSchemas(Sandbox()).check([schema], "")
    assert await checked(schema, '{"a": "value 5999"}') == {"a": "value 5999"}
    with pytest.raises(ArgumentsInvalid, match="a: "):
        await checked(schema, '{"a": "value 6000"}')
