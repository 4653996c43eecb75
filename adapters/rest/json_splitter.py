"""Cuts the body of an upload stream, as it comes, into its JSON values: nothing or white space stands between them."""

import re
from collections.abc import Iterator

import grpc

from adapters.rest.codec import JsonInvalid
from adapters.rest.failures import Failure

_SPACE = b" \t\r\n"
_STRUCTURE = re.compile(rb'["{}\[\]]')
_STRING_END = re.compile(rb'["\\]')
_SCALAR_END = re.compile(rb'[ \t\r\n{}\[\]",:]')


class JsonSplitter:
    """Looks at each byte once, however the values are cut into chunks. Whether they are right JSON it does not ask."""

    def __init__(self, limit: int) -> None:
        """Take how long a value may be."""
        self._limit = limit
        self._buffer = bytearray()
        self._at = 0
        self._depth = 0
        self._in_string = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the values that are whole now.

        Raises:
            Failure: a value is too long.
        """
        self._buffer += chunk
        while (end := self._end()) is not None:
            yield self._take(end)
        if len(self._buffer) > self._limit:
            text = f"a message is larger than {self._limit} bytes"
            raise Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, text, http_status=413)

    def finish(self) -> Iterator[bytes]:
        """Yield the value that only the end of the body ends, if there is one.

        Raises:
            JsonInvalid: the body ends inside a value.
        """
        if self._buffer:
            if self._depth or self._in_string:
                raise JsonInvalid("malformed JSON: the body ends inside a value", "unexpected EOF")
            yield self._take(len(self._buffer))

    def _take(self, end: int) -> bytes:
        value = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._at = self._depth = 0
        return value

    def _end(self) -> int | None:
        buffer = self._buffer
        if self._at == 0:
            del buffer[: len(buffer) - len(buffer.lstrip(_SPACE))]
        if not buffer:
            return None
        if buffer[0] in b'{["':
            return self._end_of_nested()
        match = _SCALAR_END.search(buffer, max(self._at, 1))
        self._at = len(buffer)
        return match.start() if match else None

    def _end_of_nested(self) -> int | None:
        buffer = self._buffer
        while match := (_STRING_END if self._in_string else _STRUCTURE).search(buffer, self._at):
            self._at = match.end()
            found = match[0]
            if found == b"\\":
                if self._at == len(buffer):
                    self._at -= 1
                    return None
                self._at += 1
                continue
            if found == b'"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if found in b"{[" else -1
            if self._depth <= 0 and not self._in_string:
                return self._at
        self._at = len(buffer)
        return None
