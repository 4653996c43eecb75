"""Calls of tools, put together from the pieces in which providers tell them.

Providers differ: several whole calls share an index, or have none; ids are repeated, empty, doubled or missing; names
come in pieces; arguments come as an object.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from services.inference.rules import MAX_ARGUMENTS_CHARACTERS, MAX_CALLS, ToolCall, is_object

_NO_INDEX = object()
_MOST_NAME_CHARACTERS = 200


class _Call:
    """A call as far as it was told. Of arguments that are too long a character more is kept, so that it is seen."""

    def __init__(self, call_id: str) -> None:
        self.call_id = call_id
        self.names: list[str] = []
        self._parts: list[str] = []
        self._room = MAX_ARGUMENTS_CHARACTERS + 1

    @property
    def arguments(self) -> str:
        return "".join(self._parts)

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are an object by now. Looks only where they may end: pieces are many."""
        return bool(self._parts) and self._parts[-1].rstrip().endswith("}") and is_object(self.arguments)

    def add(self, name: str, arguments: str) -> None:
        if name:
            self.names.append(name[:_MOST_NAME_CHARACTERS])
        if arguments and self._room:
            self._parts.append(arguments[: self._room])
            self._room -= len(self._parts[-1])

    def name(self, offered: Collection[str]) -> str:
        """Return the name: told in pieces, told again with each piece, or told longer each time."""
        joined = "".join(self.names)
        if joined in offered or not self.names:
            return joined
        whole = [name for name in self.names if name in offered]
        if whole or all(name == self.names[0] for name in self.names):
            return (whole or self.names)[-1]
        return joined


class CallPieces:
    """Takes pieces in their order; `offered` are the names of the tools that the model may call."""

    def __init__(self, offered: Collection[str]) -> None:
        self._offered = offered
        self._calls: list[_Call] = []
        self._by_index: dict[object, _Call] = {}

    def add(self, pieces: Sequence[object]) -> None:
        """Take the pieces of one chunk."""
        told: list[_Call] = []
        for piece in pieces:
            if isinstance(piece, Mapping):
                told.append(self._add(piece, told))

    def calls(self) -> list[ToolCall]:
        """Return the calls, in the order in which they began. Ids may be empty or doubled."""
        return [ToolCall(one.call_id, one.name(self._offered), one.arguments or "{}") for one in self._calls]

    def _add(self, piece: Mapping[str, Any], told: Collection[_Call]) -> _Call:
        function = piece.get("function")
        said = function if isinstance(function, Mapping) else piece
        name, arguments = _text(said.get("name")), _arguments(said.get("arguments"))
        call_id, index = _text(piece.get("id")), _index(piece.get("index"))
        call = self._begun(call_id, index, name)
        if call is not None and name and self._is_another(call, name, arguments, is_told=call in told):
            if call_id and (call_id, name, arguments) == (call.call_id, call.name(self._offered), call.arguments):
                return call  # told once more, as a whole
            call = None
        if call is None:
            call = _Call(call_id)
            if len(self._calls) < MAX_CALLS:
                self._calls.append(call)
        call.call_id = call.call_id or call_id
        if index is not _NO_INDEX:
            self._by_index[index] = call
        call.add(name, arguments)
        return call

    def _begun(self, call_id: str, index: object, name: str) -> _Call | None:
        """Return the call that a piece belongs to by its index and id; None when it begins one."""
        begun = self._by_index.get(index)
        if begun is not None and (not call_id or begun.call_id in ("", call_id)):
            return begun
        # A new id begins a new call, whatever its index; without an index the id alone says where a piece belongs.
        if call_id:
            by_id = next((one for one in reversed(self._calls) if one.call_id == call_id), None)
            return by_id if index is _NO_INDEX or not name else None
        return self._calls[-1] if self._calls and (index is _NO_INDEX or not name) else None

    def _is_another(self, call: _Call, name: str, arguments: str, *, is_told: bool) -> bool:
        """Whether a piece with a name begins a call of its own although id and index say that it belongs to `call`."""
        before = call.name(self._offered)
        if not before:
            return False
        if is_told or (call.is_whole and (arguments or name != before)):
            return True
        return name != before and before in self._offered and name in self._offered


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _arguments(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "too deep"


def _index(value: object) -> object:
    return value if isinstance(value, int | str) else _NO_INDEX
