"""How imported tools are named, and how they join those that are there."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from services.tools.rules import GrpcSource, HttpSource, McpSource, Source, Tool

_LONGEST = 64
_SUFFIX = 7


def names_for_models(names: Iterable[str]) -> dict[str, str]:
    """Return for each name one that every model takes: letters, digits, `_` and `-`, at most 64 of them.

    Where several names would become the same, a suffix made of the name itself tells them apart: what the others are
    called and in which order they come makes no difference to it.
    """
    cleaned = {name: _cleaned(name) for name in names}
    often = Counter(cleaned.values())
    return {
        name: clean if clean == name or often[clean] == 1 else told_apart(clean, name)
        for name, clean in cleaned.items()
    }


def told_apart(clean: str, name: str) -> str:
    """Return a name for models with a suffix made of what it stands for."""
    return f"{clean[: _LONGEST - _SUFFIX]}_{hashlib.sha256(name.encode()).hexdigest()[: _SUFFIX - 1]}"


def _cleaned(name: str) -> str:
    clean = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return (clean if re.match(r"[A-Za-z_]", clean) else f"_{clean}")[:_LONGEST]


def place_in(source: Source) -> tuple[str, ...]:
    """Return what makes two sources the same place."""
    match source:
        case HttpSource():
            return ("http", source.method, source.url)
        case GrpcSource():
            return ("grpc", source.target, source.method)
        case McpSource():
            return ("mcp", source.url, source.command, source.tool)


def joined(before: Sequence[Tool], wanted: Sequence[Tool]) -> list[Tool]:
    """Return what becomes of wanted tools when `before` lead to the same places, in the order of the wanted ones.

    What is there keeps its name, its limits and what was decided about approval. A new one whose name one of them has,
    because it was given away when the two did not clash yet, is told apart.
    """
    there = {place_in(tool.source): tool for tool in before}
    taken = {tool.name for tool in before}
    found: list[Tool] = []
    for tool in wanted:
        known = there.get(place_in(tool.source))
        if known is not None:
            found.append(_renewed(known, tool))
        elif tool.name in taken:
            found.append(replace(tool, name=told_apart(tool.name, "\n".join(place_in(tool.source)))))
        else:
            found.append(tool)
    return found


def _renewed(known: Tool, tool: Tool) -> Tool:
    renewed = replace(
        known,
        description=tool.description,
        arguments_schema=tool.arguments_schema,
        source=tool.source,
        secret_headers=tool.secret_headers,
    )
    return known if renewed == known else replace(renewed, revision=known.revision + 1)
