"""Finds duplicate keys in JSON objects. protojson rejects them, except in values of unknown fields that it skips."""

import json
import re
from collections import Counter
from typing import Any

from adapters.rest.failures import ValueInvalid

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]]')


class Doubled(dict[str, Any]):
    """An object with a key that was there before."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        """Take the keys and the values in their order; the last one of a key counts."""
        super().__init__(pairs)
        self.names = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]


def refuse(name: str) -> ValueInvalid:
    """Return the refusal of a key that is there twice."""
    text = name[:100].encode(errors="replace").decode()
    return ValueInvalid(f'"{text}" is given twice', go=f'proto: duplicate field "{text}"')


def refuse_any(value: Any) -> None:
    """Look through a value.

    Raises:
        ValueInvalid: an object in it has a key twice.
    """
    if isinstance(value, Doubled):
        raise refuse(value.names[0])
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            refuse_any(item)


def second_place(text: str) -> str:
    """Return `(line 1:2): ` for the first key of an object that was there before, or nothing when there is none."""
    open_objects: list[set[str] | None] = []  # None stands for a list
    for match in _TOKEN.finditer(text):
        found = match[0]
        if found in "{[":
            open_objects.append(set() if found == "{" else None)
        elif found in "}]":
            if open_objects:
                open_objects.pop()
        elif open_objects and (keys := open_objects[-1]) is not None and _is_key(text, match.end()):
            key = str(json.loads(found, strict=False))
            if key in keys:
                line, start = text.count("\n", 0, match.start()) + 1, text.rfind("\n", 0, match.start())
                return f"(line {line}:{match.start() - start}): "
            keys.add(key)
    return ""


def _is_key(text: str, end: int) -> bool:
    return text[end : end + 64].lstrip(" \t\r\n").startswith(":")
