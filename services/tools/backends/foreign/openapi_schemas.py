"""Translates schemas of OpenAPI 3.0 and 3.1 to JSON Schema 2020-12 that stands for itself. Runs in the sandbox."""

from collections.abc import Container
from itertools import count
from typing import Any

from services.tools.backends.foreign.costs import pointed_to

Json = dict[str, Any]
_MOST_NODES = 20_000
"""Of the schemas of one operation."""
_MOST_NODES_IN_ALL = 300_000
_INLINE_NODES = 200
_MOST_HOPS = 20
# Keywords by what they hold. What is in none of these lists is left out: it says nothing about what is allowed.
_SCHEMA = {"not", "if", "then", "else", "additionalProperties", "propertyNames", "contains", "unevaluatedProperties",
           "unevaluatedItems"}  # fmt: skip
_SCHEMAS = {"allOf", "anyOf", "oneOf", "prefixItems"}
_NAMED_SCHEMAS = {"properties", "patternProperties", "dependentSchemas"}
_VALUES = {"type", "enum", "const", "default", "examples", "title", "description", "format", "deprecated", "multipleOf",
           "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "maxLength", "minLength", "pattern",
           "maxItems", "minItems", "uniqueItems", "maxContains", "minContains", "maxProperties", "minProperties",
           "required", "dependentRequired", "contentEncoding", "contentMediaType"}  # fmt: skip
_CANNOT = ("$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor")


class CannotExpress(Exception):
    """An operation asks for what a tool cannot do; the text says what."""


def resolved(document: Any, value: Any) -> Json:
    """Return an object of the document, or what its `$ref` leads to. Raises CannotExpress."""
    for _ in range(_MOST_HOPS):
        if not isinstance(value, dict):
            raise CannotExpress("it is not as OpenAPI wants it")
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        value = target_of(document, reference)
    raise CannotExpress("its references are too deep")


def free_name(name: str, taken: Container[str]) -> str:
    """Return a name, with a number after it when it is taken."""
    free = name
    for number in count(2):
        if free not in taken:
            break
        free = f"{name}_{number}"
    return free


def target_of(document: Any, reference: str) -> Any:
    """Return what a reference points to. Raises CannotExpress."""
    if not reference.startswith("#"):
        raise CannotExpress(f"the reference {reference[:100]} leads out of the document")
    found = pointed_to(document, reference)
    if found is None:
        raise CannotExpress(f"the reference {reference[:100]} leads nowhere")
    return found


class Budget:
    """How much may still be translated of one document, and which of its references lead to something small."""

    def __init__(self) -> None:
        self.nodes = _MOST_NODES_IN_ALL
        self.small: dict[str, bool] = {}


class Translation:
    """The schemas of one operation; what refers to itself, or is large, goes into `definitions`."""

    def __init__(self, document: Any, budget: Budget) -> None:
        self.definitions: Json = {}
        self._document = document
        self._names: dict[str, str] = {}
        self._budget = budget
        self._nodes = 0

    def schema(self, value: Any) -> Any:
        """Return a schema of the document as one of JSON Schema 2020-12. Raises CannotExpress."""
        self._count()
        if isinstance(value, bool):
            return value
        if not isinstance(value, dict):
            raise CannotExpress("a schema is no object")
        for name in _CANNOT:
            if name in value:
                raise CannotExpress(f"its schemas use {name}")
        reference = value.get("$ref")
        if isinstance(reference, str):
            return self._referred(reference, value)
        return _corrected(value, self._members(value))

    def _members(self, value: Json) -> Json:
        found: Json = {}
        for name, held in value.items():
            if name in _SCHEMA:
                found[name] = self.schema(held)
            elif name in _SCHEMAS:
                found[name] = [self.schema(one) for one in _typed(held, list, name)]
            elif name in _NAMED_SCHEMAS:
                found[name] = {key: self.schema(one) for key, one in _typed(held, dict, name).items() if _sent(one)}
            elif name == "items":
                # A list of schemas is what `prefixItems` was called before 2020-12.
                many = isinstance(held, list)
                found["prefixItems" if many else "items"] = [*map(self.schema, held)] if many else self.schema(held)
            elif name in _VALUES:
                self._count_all(held)
                found[name] = held
        return found

    def _referred(self, reference: str, value: Json) -> Any:
        """Return the target in the reference's place, or a reference into `definitions`."""
        beside = {name: value[name] for name in ("description", "title", "default") if name in value}
        if value.get("nullable") is True:
            return {"anyOf": [self._referred(reference, {}), {"type": "null"}], **beside}
        if reference not in self._budget.small:
            self._budget.small[reference] = _small(self._document, reference)
        if self._budget.small[reference]:
            target = self.schema(target_of(self._document, reference))
            return {**target, **beside} if isinstance(target, dict) else target
        if reference not in self._names:
            self._names[reference] = self._named(reference)
            # Noted first: it may lead to itself.
            self.definitions[self._names[reference]] = self.schema(target_of(self._document, reference))
        return {"$ref": f"#/$defs/{self._names[reference]}", **beside}

    def _named(self, reference: str) -> str:
        name = "".join(one if one.isascii() and one.isalnum() else "_" for one in reference.rpartition("/")[2])[:60]
        return free_name(name or "_", set(self._names.values()))

    def _count_all(self, value: Any) -> None:
        left = [value]
        while left:
            one = left.pop()
            self._count()
            left.extend(one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise CannotExpress(f"its schemas have more than {_MOST_NODES} parts")
        self._budget.nodes -= 1
        if self._budget.nodes < 0:
            raise CannotExpress(
                f"the schemas before it have more than {_MOST_NODES_IN_ALL} parts: import it by its name"
            )


def _small(document: Any, reference: str) -> bool:
    """Whether the target of a reference is small with all of its references written out, and leads not to itself."""
    left = _INLINE_NODES
    nodes: list[tuple[Any, tuple[str, ...]]] = [(target_of(document, reference), (reference,))]
    while nodes:
        value, through = nodes.pop()
        left -= 1
        if left < 0:
            return False
        if isinstance(value, list):
            nodes += [(one, through) for one in value]
        elif isinstance(value, dict):
            deeper = value.get("$ref")
            if isinstance(deeper, str):
                if deeper in through:
                    return False
                nodes.append((target_of(document, deeper), (*through, deeper)))
            nodes += [(one, through) for one in value.values()]
    return True


def _corrected(given: Json, found: Json) -> Json:
    """Say what OpenAPI 3.0 says in its own words in those of JSON Schema."""
    for name, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(found.get(name), bool) and found.pop(name) and bound in found:
            found[name] = found.pop(bound)
    if not isinstance(found.get("required", []), list):
        del found["required"]
    if "required" in found:
        properties = _typed(given.get("properties", {}), dict, "properties")
        found["required"] = [name for name in found["required"] if name not in properties or _sent(properties[name])]
    return _with_null(found) if given.get("nullable") is True else found


def _with_null(found: Json) -> Json:
    kind = found.get("type")
    if kind is None:
        return {"anyOf": [found, {"type": "null"}]} if found else found
    kinds = kind if isinstance(kind, list) else [kind]
    found["type"] = [*kinds, "null"] if "null" not in kinds else kinds
    if isinstance(found.get("enum"), list) and None not in found["enum"]:
        found["enum"] = [*found["enum"], None]
    if any(name in found for name in ("allOf", "anyOf", "oneOf", "const", "not")):
        return {"anyOf": [found, {"type": "null"}]}
    return found


def _sent(schema: Any) -> bool:
    """Whether a property may stand in a request."""
    return not (isinstance(schema, dict) and schema.get("readOnly") is True)


def _typed(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise CannotExpress(f"its schemas have {name} of another kind")
    return value
