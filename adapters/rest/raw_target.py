"""Where the bytes of a body that is no JSON go: a google.api.HttpBody, or a field of bytes, that the rule names."""

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

HTTP_BODY = "google.api.HttpBody"
MULTIPART = "multipart/form-data"
_JSON = "application/json"


class RawTarget:
    """The place in the requests of one binding."""

    def __init__(self, reach: Callable[[Any], Any], field: FieldDescriptor | None) -> None:
        """Take what finds the owner of the field; without a field, the request itself is the HttpBody."""
        self.names = frozenset({field.name, field.json_name}) if field is not None else frozenset()
        self._reach = reach
        self._field = field.name if field is not None else ""
        self._is_bytes = field is not None and field.type == FieldDescriptor.TYPE_BYTES

    def describe(self, message: Any, content_type: str) -> None:
        """Note what the bytes are; a field of bytes has no place for it."""
        if not self._is_bytes:
            self._body(message).content_type = content_type

    def put(self, message: Any, data: bytes) -> None:
        """Put bytes into a request."""
        if self._is_bytes:
            setattr(self._reach(message), self._field, data)
        else:
            self._body(message).data = data

    def _body(self, message: Any) -> Any:
        owner = self._reach(message)
        return getattr(owner, self._field) if self._field else owner


def raw_target(request: Descriptor, fields: Sequence[FieldDescriptor], reach: Callable[[Any], Any]) -> RawTarget | None:
    """Return the place; None when the body can only be JSON. Without `fields`, the body is the whole request."""
    if not fields:
        return RawTarget(reach, None) if request.full_name == HTTP_BODY else None
    field = fields[-1]
    if field.is_repeated:
        return None
    takes_bytes = field.type == FieldDescriptor.TYPE_BYTES
    is_body = field.message_type is not None and field.message_type.full_name == HTTP_BODY
    return RawTarget(reach, field) if takes_bytes or is_body else None


def is_raw(content_type: str) -> bool:
    """Return whether a body of this type is no JSON. One that does not say what it is counts as JSON."""
    media = media_type(content_type)
    return bool(media) and media != _JSON and not media.endswith("+json")


def media_type(content_type: str) -> str:
    """Return a content type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()
