"""Makes messages of a multipart/form-data body: one part is the file, the other parts fill fields by their names."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import Message
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from adapters.rest.binding import RequestBinder
from adapters.rest.failures import Failure, invalid_field

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_PARTS = 100
_MAX_FIELD_BYTES = 64 * 1024
_UNKNOWN_TYPE = "application/octet-stream"


class FormMessages:
    """The bytes of the file go on as they come; the first message has the fields, which stand before the file.

    With `whole`, there is one message at the end, and fields may stand anywhere.
    """

    def __init__(
        self, binder: RequestBinder, values: tuple[str, ...], query: bytes, content_type: str, *, whole: bool = False
    ) -> None:
        """Take what the path and the query give.

        Raises:
            Failure: INVALID_ARGUMENT, the content type has no boundary.
        """
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self._parser = _parser(boundary, self)
        self._binder = binder
        self._values, self._query = values, query
        self._whole = whole
        self._ready: list[Message] = []
        self._data = bytearray()
        self._fields: dict[str, list[str]] = {}
        self._first: Message | None = None
        self._file: str | None = None
        self._file_type = ""
        self._parts = 0
        self._ended = False
        self._start_part()

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Yield the messages that a chunk makes.

        Raises:
            Failure: INVALID_ARGUMENT or HTTP 413; the text names the part.
        """
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            if "Maximum header" in str(error):
                raise _too_much(f"part {self._parts}: its headers are too large") from None
            raise invalid_field("", f"malformed multipart body in part {self._parts}: {error}") from None
        ready, self._ready = self._ready, []
        yield from ready

    def finish(self) -> Iterator[Message]:
        """Yield the one message of a whole form.

        Raises:
            Failure: INVALID_ARGUMENT, the form ends too soon or has no file.
        """
        if not self._ended:
            raise invalid_field("", f"malformed multipart body: it ends in part {self._parts}")
        if self._file is None:
            raise invalid_field("", "multipart/form-data: no part is a file")
        if self._whole:
            yield self._binder.with_bytes(self._head(), bytes(self._data))

    def on_part_begin(self) -> None:
        """Start a part."""
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise _too_much(f"multipart/form-data: there are more than {_MAX_PARTS} parts")
        self._start_part()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's name."""
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's value."""
        self._value += data[start:end]

    def on_header_end(self) -> None:
        """Keep a header."""
        self._headers[bytes(self._header).decode("latin-1").lower()] = bytes(self._value).decode("latin-1")
        self._header.clear()
        self._value.clear()

    def on_headers_finished(self) -> None:
        """See what the part is."""
        kind, options = parse_options_header(self._headers.get("content-disposition", ""))
        if kind != b"form-data" or b"name" not in options:
            raise invalid_field("", f"part {self._parts}: expected Content-Disposition: form-data with a name")
        self._name = options[b"name"].decode("utf-8", "replace")
        raw = self._binder.raw
        self._is_file = b"filename" in options or (raw is not None and self._name in raw.names)
        if self._is_file:
            self._begin_file()
        elif self._file is not None and not self._whole:
            raise invalid_field(self._name, f'part "{self._name[:100]}": fields stand before the file of an upload')

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a part."""
        if self._is_file and not self._whole:
            message, self._first = self._first or self._binder.empty(), None
            self._ready.append(self._binder.with_bytes(message, data[start:end]))
            return
        target = self._data if self._is_file else self._text
        target += data[start:end]
        if not self._is_file and len(target) > _MAX_FIELD_BYTES:
            raise _too_much(f'part "{self._name[:100]}": a field is larger than {_MAX_FIELD_BYTES} bytes')

    def on_part_end(self) -> None:
        """End a part."""
        if self._is_file:
            if self._first is not None:
                self._ready.append(self._first)
                self._first = None
            return
        try:
            self._fields.setdefault(self._name, []).append(self._text.decode())
        except UnicodeDecodeError:
            raise invalid_field(self._name, f'part "{self._name[:100]}": not UTF-8') from None

    def on_end(self) -> None:
        """Note that the form is whole."""
        self._ended = True

    def _start_part(self) -> None:
        self._headers: dict[str, str] = {}
        self._header = bytearray()
        self._value = bytearray()
        self._text = bytearray()
        self._name, self._is_file = "", False

    def _begin_file(self) -> None:
        if self._file is not None:
            text = f'part "{self._name[:100]}": there is a file already, "{self._file[:100]}"'
            raise invalid_field(self._name, text)
        self._file = self._name
        self._file_type = self._headers.get("content-type", _UNKNOWN_TYPE)
        if not self._whole:
            self._first = self._head()

    def _head(self) -> Message:
        return self._binder.bind_raw(self._values, self._query, self._fields, self._file_type)


def _parser(boundary: bytes, form: FormMessages) -> MultipartParser:
    if not 0 < len(boundary) <= 70:  # RFC 2046
        raise invalid_field("Content-Type", "Content-Type: multipart/form-data needs a boundary of 1 to 70 characters")
    callbacks: MultipartCallbacks = {
        "on_part_begin": form.on_part_begin,
        "on_part_data": form.on_part_data,
        "on_part_end": form.on_part_end,
        "on_header_field": form.on_header_field,
        "on_header_value": form.on_header_value,
        "on_header_end": form.on_header_end,
        "on_headers_finished": form.on_headers_finished,
        "on_end": form.on_end,
    }
    return MultipartParser(boundary, callbacks)


def _too_much(text: str) -> Failure:
    return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, text, http_status=413)
