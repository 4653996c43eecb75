"""Server-sent events of a stranger, read byte by byte as they come."""

import re
from dataclasses import dataclass

MOST_EVENT_BYTES = 8 * 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class EventTooLong(ValueError):
    """An event is longer than anything that a model says."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, mostly empty, and its data."""

    name: str
    data: str


class EventReader:
    """Reads https://html.spec.whatwg.org/multipage/server-sent-events.html in pieces that are cut anywhere.

    What is no UTF-8 becomes U+FFFD. Comments, ids and unknown fields are ignored.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._looked_at = 0
        self._ended_with_cr = False
        self._is_first = True
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that end in `piece`. Raises EventTooLong."""
        if self._ended_with_cr and piece[:1] == b"\n":
            piece = piece[1:]
        if not piece:
            return []
        self._ended_with_cr = piece[-1:] == b"\r"
        self._line += piece
        events, begin = [], 0
        for end in _LINE_END.finditer(self._line, self._looked_at):
            events += self._read(bytes(self._line[begin : end.start()]))
            begin = end.end()
        del self._line[:begin]
        self._looked_at = len(self._line)
        if len(self._line) + self._size > MOST_EVENT_BYTES:
            raise EventTooLong
        return events

    def end(self) -> list[Event]:
        """Return the event that the end of the stream ends: some servers leave out the empty line."""
        return [*self._read(bytes(self._line)), *self._read(b"")]

    def _read(self, line: bytes) -> list[Event]:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatched()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._name = value.decode(errors="replace")
        return []

    def _dispatched(self) -> list[Event]:
        event = Event(self._name, b"\n".join(self._data).decode(errors="replace"))
        found = [event] if self._data else []
        self._name, self._data, self._size = "", [], 0
        return found
