"""JSON <-> protobuf for one descriptor set, compiled per type when the gateway is built."""

import json
import re
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from adapters.rest.decoding import Decoders, Fill, guarded, takes_null
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.dialect import Dialect
from adapters.rest.duplicate_keys import Doubled
from adapters.rest.encoding import Encoders
from adapters.rest.failures import ValueInvalid
from adapters.rest.go_json import syntax_error
from adapters.rest.plain_json import applies_to, plain_decoder, plain_encoder
from adapters.rest.scalars import ToJson
from adapters.rest.well_known import ANY, encode_any, encode_well_known, fill_well_known

_ESCAPES = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    "\u2028".encode(): b"\\u2028",
    "\u2029".encode(): b"\\u2029",
}


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonInvalid(ValueError):
    """The text holds no JSON value."""

    def __init__(self, problem: str, go: str = "") -> None:
        """Take what is wrong, and how Go's encoding/json would put it."""
        super().__init__(problem)
        self.go = go or problem


class Codec:
    """Makes JSON text of messages and fills messages from it."""

    def __init__(self, descriptors: DescriptorSet, dialect: Dialect) -> None:
        """Compile for the types of a descriptor set."""
        self._encoders = Encoders(self._encode_special, dialect)
        self._any = encode_any(self._encoders, descriptors.pool)
        self._decoders = Decoders(fill_well_known(descriptors.pool), dialect)

    def encoder(self, descriptor: Descriptor) -> ToJson:
        """Return what makes a JSON-able object of a message of the type; it may raise AnyTypeUnknown."""
        return self._encoders.of(descriptor)

    def field_encoder(self, field: FieldDescriptor) -> ToJson:
        """Return what makes a JSON-able value of a message's field, null when it is unset and can say so."""
        convert = plain_encoder(field) if applies_to(field) else self._encoders.of_field(field)
        name = field.name
        if not field.has_presence:
            return lambda message: convert(getattr(message, name))
        return lambda message: convert(getattr(message, name)) if message.HasField(name) else None

    def decoder(self, descriptor: Descriptor) -> Fill:
        """Return what fills a message of the type from parsed JSON; it raises ValueInvalid."""
        return self._decoders.of(descriptor)

    def field_decoder(self, field: FieldDescriptor) -> Fill:
        """Return what puts the parsed JSON of a whole body into a field; it raises ValueInvalid, seen from there."""
        if not applies_to(field):
            fill_field = self._decoders.of_field(field)
            if field.is_repeated or takes_null(field):
                return fill_field
            return lambda message, value: fill_field(message, _present(value))
        convert, name = plain_decoder(field), field.name

        def fill(message: Any, value: Any) -> None:
            if value is None:
                _put_nothing(message, field)
                return
            converted = convert(value)
            if field.is_repeated:
                getattr(message, name).extend(converted)
            else:
                setattr(message, name, converted)

        return lambda message, value: guarded(fill, message, value)

    def _encode_special(self, descriptor: Descriptor) -> ToJson | None:
        return self._any if descriptor.full_name == ANY else encode_well_known(descriptor)


def _present(value: Any) -> Any:
    if value is None:
        raise ValueInvalid("expected an object", go="proto: syntax error (line 1:1): unexpected token null")
    return value


def _put_nothing(message: Any, field: FieldDescriptor) -> None:
    if field.enum_type is not None and not field.is_repeated:
        raise ValueInvalid("expected the number of an enum value")
    oneof = field.containing_oneof
    if oneof is not None and oneof.name != f"_{field.name}":  # not the one that `optional` makes
        setattr(message, field.name, field.default_value)


def dump_json(value: Any) -> bytes:
    """Return compact JSON text."""
    return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def escaped(text: bytes) -> bytes:
    """Return JSON text as Go's encoding/json writes it: so that HTML may hold it."""
    for plain, escape in _ESCAPES.items():
        text = text.replace(plain, escape)
    return text


def parse_json(data: bytes) -> Any:
    """Return the first JSON value of a body; what follows it is ignored, as grpc-gateway does.

    An object with a key twice is a `Doubled`.

    Raises:
        JsonInvalid: there is no value.
    """
    try:
        text = data.decode()
        return _decoder.raw_decode(text, len(text) - len(text.lstrip(" \t\r\n")))[0]
    except json.JSONDecodeError as error:
        raise JsonInvalid(f"malformed JSON: {error.msg} at character {error.pos}", syntax_error(data)) from None
    except UnicodeDecodeError:
        raise JsonInvalid("malformed JSON: not UTF-8") from None
    except RecursionError:
        raise JsonInvalid("malformed JSON: nested too deeply") from None
    except ValueInvalid as error:
        raise JsonInvalid(f"malformed JSON: {error.problem}", syntax_error(data) or error.go) from None
    except ValueError:
        raise JsonInvalid("malformed JSON: a number has too many digits") from None


def refuse_half_pairs(data: bytes) -> None:
    """Look at the escapes of a body that was read without complaint: half a surrogate pair is none, even in a name.

    Raises:
        JsonInvalid: there is one.
    """
    if b"\\u" not in data or not _SURROGATE.search(data):
        return
    text = data.decode()
    start = len(text) - len(text.lstrip(" \t\r\n"))
    end = _decoder.raw_decode(text, start)[1]
    try:
        orjson.loads(text[start:end])
    except orjson.JSONDecodeError as error:
        raise JsonInvalid(f"malformed JSON: {error.msg}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    return result if len(result) == len(pairs) else Doubled(pairs)


def _refuse(name: str) -> Any:
    raise ValueInvalid(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse)
