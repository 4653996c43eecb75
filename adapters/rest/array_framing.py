"""A stream as one JSON array, for clients that read whole documents: `[{"result":…},…]`."""

from typing import Any

from adapters.rest.binding import ResponseShaper
from adapters.rest.codec import dump_json, escaped
from adapters.rest.metadata import Headers
from adapters.rest.upstream import CallFailed

_ARRAY_TYPE = (b"content-type", b"application/json")


def wants_array(accept: str) -> bool:
    """Return whether a client asks for `application/json; stream=array`."""
    return "stream=array" in accept.replace(" ", "").lower()


class Array:
    """Writes one stream; its elements are those that the lines of JSON have."""

    empty_status = 200

    def __init__(self, shaper: ResponseShaper) -> None:
        """Take which part of a message is sent."""
        self._to_json = shaper.to_json
        self._before = b"["

    def wraps_early(self, error: CallFailed) -> bool:  # noqa: ARG002 - the same for every error
        """Return that an error before the first message is an ordinary error answer."""
        return False

    def headers(self, first: Any) -> Headers:  # noqa: ARG002 - the same for every stream
        """Return the content type."""
        return [_ARRAY_TYPE]

    def message(self, message: Any) -> bytes:
        """Return one element with what stands before it."""
        return self._element({"result": self._to_json(message)})

    def error(self, content: dict[str, Any]) -> bytes:
        """Return the last element."""
        return self._element({"error": content})

    def ending(self) -> bytes:
        """Return the end of the array."""
        return b"[]" if self._before == b"[" else b"]"

    def _element(self, value: dict[str, Any]) -> bytes:
        before, self._before = self._before, b","
        return before + escaped(dump_json(value))
