"""Reads what clients send: JSON commands of the Centrifuge client protocol, one a line, several in a frame."""

from dataclasses import dataclass, field
from typing import Any

import orjson

_MAX_ID = 2**32 - 1
_MAX_OFFSET = 2**64 - 1

KINDS = frozenset(
    {
        "connect",
        "subscribe",
        "unsubscribe",
        "publish",
        "presence",
        "presence_stats",
        "history",
        "ping",
        "send",
        "rpc",
        "refresh",
        "sub_refresh",
    }
)
"""Every kind of command that the protocol knows."""


class FrameInvalid(ValueError):
    """The bytes are no commands of the protocol."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `kind` is empty for a pong."""

    id: int
    kind: str
    params: dict[str, Any]
    size: int = field(default=0, compare=False)
    """How many bytes it took."""

    @property
    def is_pong(self) -> bool:
        """Whether it answers a ping."""
        return not self.kind and not self.id

    def text(self, name: str) -> str:
        """Return a string parameter, empty when it is not there. Raises FrameInvalid when it is something else."""
        value = self.params.get(name, "")
        if not isinstance(value, str):
            raise FrameInvalid(f"{self.kind}.{name} is no string")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean parameter, false when it is not there. Raises FrameInvalid when it is something else."""
        value = self.params.get(name, False)
        if not isinstance(value, bool):
            raise FrameInvalid(f"{self.kind}.{name} is no boolean")
        return value

    def number(self, name: str) -> int:
        """Return a uint64 parameter, 0 when it is not there. Raises FrameInvalid when it is something else."""
        return _number(self.params.get(name, 0), f"{self.kind}.{name}", _MAX_OFFSET)


def read_frame(frame: str | bytes) -> list[Command]:
    """Return the commands of a frame, in their order.

    Raises:
        FrameInvalid: a line is no command, or the frame is empty.
    """
    lines = frame.split("\n") if isinstance(frame, str) else frame.split(b"\n")
    commands = [_read(line) for line in lines if line.strip()]
    if not commands:
        raise FrameInvalid("the frame is empty")
    return commands


def _read(line: str | bytes) -> Command:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise FrameInvalid(f"malformed JSON: {error}") from None
    if not isinstance(fields, dict):
        raise FrameInvalid("a command is an object")
    number = _number(fields.get("id", 0), "id", _MAX_ID)
    # What this server does not know is ignored, as in every implementation: the protocol grows.
    kinds = [name for name in fields if name in KINDS and fields[name] is not None]
    if len(kinds) > 1:
        raise FrameInvalid("two commands in one")
    if not kinds:
        if number:
            raise FrameInvalid("a command without a method")
        return Command(0, "", {})
    (kind,) = kinds
    if not isinstance(fields[kind], dict):
        raise FrameInvalid(f"{kind} is no object")
    if not number and kind != "send":
        raise FrameInvalid(f"{kind} has no id")
    return Command(number, kind, fields[kind], len(line.encode()) if isinstance(line, str) else len(line))


def _number(value: Any, name: str, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise FrameInvalid(f"{name} is no number from 0 to {highest}")
    return value
