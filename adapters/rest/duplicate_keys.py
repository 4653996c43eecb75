"""Finds the key that a JSON text has twice, to say where as Go's protojson does. Runs only after a refusal."""

import json
import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]')


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
