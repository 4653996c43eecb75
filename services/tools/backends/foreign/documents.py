"""Reads JSON and YAML documents of strangers as what JSON can hold. Runs in the sandbox."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from services.chassis.sandbox.child import Refused
from services.chassis.strict_json import JsonRefused, read_json

_MOST_DEPTH = 100
_MOST_NODES = 200_000
"""Of one document, with aliases written out."""
_MOST_DIGITS = 100
_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def read_document(text: str) -> Any:
    """Return what a document in JSON or YAML holds. Raises Refused."""
    text = text.removeprefix("\ufeff")
    if not text.lstrip().startswith(("{", "[")):
        return read_yaml(text)
    try:
        return read_json(text)
    except JsonRefused as refused:
        wrong = refused
    try:
        return read_yaml(text)
    except Refused:
        raise Refused(f"it is neither JSON nor YAML: as JSON it {wrong}") from None


def read_yaml(text: str) -> Any:
    """Return what a YAML document holds, by the core schema of YAML 1.2: dates stay texts, `yes` and `on` too.

    Nodes are put together from libyaml's events, not by its own recursion. Raises Refused.
    """
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            reader.take(event)
    except (yaml.YAMLError, UnicodeError) as error:
        raise Refused(f"it is neither JSON nor YAML: {_place(error)}") from None
    return reader.document


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", "") or "a character that cannot be read")[:100]
    return f"{problem} (line {mark.line + 1})" if mark else problem


@dataclass(slots=True)
class _Open:
    """A collection that is being read, and how many nodes it has so far."""

    value: Any
    anchor: str | None
    nodes: int = 1
    key: str | None = None
    merged: list[dict[str, Any]] = field(default_factory=list)


class _Merge(str):
    """The key `<<`."""

    __slots__ = ()


class _Reader:
    def __init__(self) -> None:
        self.document: Any = None
        self._documents = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}

    def take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                value = _scalar(event, key=self._wants_key())
                self._add(value, 1, event.anchor)
            case yaml.SequenceStartEvent():
                _check_tag(event.tag, "seq")
                self._begin([], event.anchor)
            case yaml.MappingStartEvent():
                _check_tag(event.tag, "map")
                self._begin({}, event.anchor)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._end()
            case yaml.AliasEvent():
                self._alias(str(event.anchor))
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise Refused("it holds more than one YAML document")

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _begin(self, value: Any, anchor: str | None) -> None:
        if self._wants_key():
            raise Refused("it has a key that is a list or a mapping")
        if len(self._open) >= _MOST_DEPTH:
            raise Refused(f"it is nested more than {_MOST_DEPTH} levels deep")
        self._open.append(_Open(value, anchor))

    def _end(self) -> None:
        done = self._open.pop()
        for merged in reversed(done.merged):
            done.value = {**merged, **done.value}
        self._add(done.value, done.nodes, done.anchor)

    def _alias(self, anchor: str) -> None:
        if any(one.anchor == anchor for one in self._open):
            raise Refused(f"the alias {anchor[:100]} stands in what it stands for")
        if anchor not in self._anchors:
            raise Refused(f"the alias {anchor[:100]} stands for nothing")
        value, nodes = self._anchors[anchor]
        if self._wants_key() and not isinstance(value, str):
            raise Refused(f"the alias {anchor[:100]} is no key")
        self._add(value, nodes, None)

    def _add(self, value: Any, nodes: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, nodes)
        if not self._open:
            self.document = value
            return
        into = self._open[-1]
        into.nodes += nodes
        if into.nodes > _MOST_NODES:
            raise Refused(f"it has more than {_MOST_NODES} values with its aliases written out")
        if isinstance(into.value, list):
            into.value.append(value)
        elif into.key is None:
            into.key = value
        elif isinstance(into.key, _Merge):
            into.merged.extend(_mappings(value))
            into.key = None
        else:
            into.value[into.key] = value
            into.key = None


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            raise Refused("what << merges is no mapping")
        yield one


def _check_tag(tag: str | None, kind: str) -> None:
    if tag not in (None, "!", _TAG + kind):
        raise Refused(f"it is neither JSON nor YAML: the tag {tag[:100] if tag else ''} is not read")


def _scalar(event: Any, *, key: bool) -> Any:
    """Return the value of a scalar. A plain one is what the core schema says; a key is always a text."""
    text: str = event.value
    if "\0" in text:
        raise Refused("it has the character NUL in a text")
    kind = (event.tag or "").removeprefix(_TAG)
    if key:
        return _Merge(text) if text == "<<" and event.implicit[0] else text
    if kind in ("str", "timestamp", "!") or (not kind and not event.implicit[0]):
        return text
    if kind not in ("", "int", "float", "bool", "null"):
        raise Refused(f"it is neither JSON nor YAML: the tag {kind[:100]} is not read")
    return _plain(text)


def _plain(text: str) -> Any:
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _NOT_JSON.fullmatch(text):
        raise Refused(f"the number {text} is none of JSON")
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
        return _number(text)
    return text


def _number(text: str) -> int | float:
    if len(text) > _MOST_DIGITS:
        raise Refused(f"it has a number of more than {_MOST_DIGITS} characters")
    if text.startswith(("0o", "0x")):
        return int(text, 0)
    if _INTEGER.fullmatch(text):
        return int(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Refused(f"the number {text} is too large")
    return value
