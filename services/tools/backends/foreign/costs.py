"""Counts what a JSON value or a JSON Schema costs to check, before anybody checks it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_ENOUGH = 10**9
_MOST_CHAIN = 150
_REPEAT = re.compile(r"\{(\d{1,6})(?:,(\d{0,6}))?\}")
# What these cost cannot be told from the schema: the place they lead to, or how often something is looked at again.
_UNCOUNTABLE = {
    "$dynamicRef",
    "$recursiveRef",
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "unevaluatedProperties",
    "unevaluatedItems",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a schema costs: its parts, with what is referred to counted wherever a reference stands.

    `countable` is False when more may come: with recursion it depends on the arguments.
    """

    parts: int
    countable: bool


def weight_of(value: Any) -> int:
    """Return how much a JSON value weighs: one for each value in it, and more for long texts."""
    weight, left = 0, [value]
    while left:
        one = left.pop()
        weight += 1 + (len(one) // 16 if isinstance(one, str) else 0)
        if isinstance(one, dict):
            weight += sum(len(name) // 16 for name in one)
        left.extend(_inner(one))
    return weight


def cost_of(schema: Any) -> Cost:
    """Return what a schema costs that is not nested deeper than Python recurses."""
    count = _Count(schema)
    parts = count.parts(schema, 0)
    return Cost(parts, count.countable)


class _Count:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[int, int] = {}
        self._open: set[int] = set()
        self.countable = True

    def parts(self, value: Any, chain: int) -> int:
        """Count a value; one that is being counted already is recursive, and counts nothing there."""
        if not isinstance(value, (dict, list)):
            return 1 + (len(value) // 100 if isinstance(value, str) else 0)
        key = id(value)
        if key in self._known:
            return self._known[key]
        if key in self._open or chain > _MOST_CHAIN:
            self.countable = False
            return 0
        self._open.add(key)
        if isinstance(value, dict):
            total = 1 + sum(self._member(name, one, chain) for name, one in value.items())
        else:
            total = 1 + sum(self.parts(one, chain + 1) for one in value)
        self._open.discard(key)
        self._known[key] = min(total, _ENOUGH)
        return self._known[key]

    def _member(self, name: str, value: Any, chain: int) -> int:
        if name in _UNCOUNTABLE:
            self.countable = False
        if name == "$ref" and isinstance(value, str):
            found = pointed_to(self._root, value)
            if found is None:
                self.countable = False
                return 1
            return 1 + self.parts(found, chain + 1)
        patterns = 0
        if name == "pattern" and isinstance(value, str):
            patterns = _pattern(value)
        elif name == "patternProperties" and isinstance(value, dict):
            patterns = sum(map(_pattern, value))
        return patterns + self.parts(value, chain + 1)


def pointed_to(root: Any, reference: str) -> Any:
    """Return what a reference of the form `#/a/b` points to, None when there is nothing or it has another form."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return None
    found = root
    for part in reference[2:].split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and len(name) < 9 and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def _pattern(pattern: str) -> int:
    """Return about how many states a pattern has: repetitions are written out."""
    states = len(pattern)
    for least, most in _REPEAT.findall(pattern):
        states = min(states * max(int(least), int(most or 0), 1), _ENOUGH)
    return states


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
