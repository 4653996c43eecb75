"""Makes the gRPC request of an HTTP request: the body first, then the path over it, then the query."""

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from adapters.rest.annotations import Binding
from adapters.rest.codec import Codec, JsonInvalid, dump_json, escaped, parse_json, refuse_half_pairs
from adapters.rest.decoding import Fill
from adapters.rest.descriptors import message_class
from adapters.rest.dialect import PARLEY, Dialect
from adapters.rest.failures import Failure, ValueInvalid, invalid_field
from adapters.rest.field_mask import mask_field, mask_paths
from adapters.rest.path_template import PathTemplate
from adapters.rest.plain_json import applies_to
from adapters.rest.protojson_errors import explain
from adapters.rest.query import QueryBinder, parse_query
from adapters.rest.raw_target import RawTarget, raw_target
from adapters.rest.text_values import Put, put_text

_WHOLE = "*"


class BindingInvalid(Exception):
    """A google.api.http rule names a field that the request or the response does not have."""


class RequestBinder:
    """Fills the requests of one binding."""

    def __init__(
        self, request: Descriptor, binding: Binding, template: PathTemplate, codec: Codec, dialect: Dialect = PARLEY
    ) -> None:
        """Compile the binding.

        Raises:
            BindingInvalid: the rule names an unknown field, or one that a path cannot hold.
        """
        self.reads_body = bool(binding.body)
        self.reads_query = binding.body != _WHOLE
        self._dialect = dialect
        self._request_type = request
        self._request_class = message_class(request)
        self._path = [
            _PathParameter(request, variable.field_path, dialect.repeated_separator) for variable in template.variables
        ]
        self._decode: Fill | None = None
        self._body_path: tuple[str, ...] = ()
        self._body_field: FieldDescriptor | None = None
        self._owner: Callable[[Any], Any] = lambda message: message
        self._body_type: Descriptor | None = None
        if binding.body == _WHOLE:
            self._decode = codec.decoder(request)
            self._body_type = request
        elif binding.body:
            self._bind_body_field(request, binding.body, codec)
        self.raw = self._raw_target(request, binding) if dialect.raw_uploads and binding.body else None
        covered = [parameter.names for parameter in self._path] + ([self._body_path] if self._body_path else [])
        given_elsewhere = {names[0] for names in covered if len(names) == 1}
        if {field.name for field in request.fields} <= given_elsewhere:
            self.reads_query = False
        self._whole = codec.decoder(request)
        self._query = QueryBinder(request, covered, strict=dialect.strict)
        derives_mask = dialect.allow_patch_feature and binding.http_method == "PATCH"
        self._mask = mask_field(request) if derives_mask and self._body_path and self._body_type is not None else None

    def bind(self, values: Sequence[str], query: bytes, body: bytes, form: bytes = b"") -> Message:
        """Return the request message. The values of a form come before those of the query.

        Raises:
            Failure: INVALID_ARGUMENT that names what does not fit.
        """
        message = self._request_class()
        if self._decode is not None and body.strip(b" \t\r\n"):
            self._read_body(message, body)
        elif self._body_path and self._dialect.fills_from_empty_bodies:
            self._fill_from_nothing(message)
        self.put_path(message, values)
        if (query or form) and self.reads_query:
            given = parse_query(form) if form else {}
            for key, texts in parse_query(query).items():
                given.setdefault(key, []).extend(texts)
            self._query.fill(message, given)
        return message

    def _fill_from_nothing(self, message: Any) -> None:
        owner, field = self._owner(message), self._body_field
        if field is None or field.is_repeated:
            return
        if field.message_type is not None:
            getattr(owner, field.name).SetInParent()
        elif field.has_presence and field.enum_type is None:
            setattr(owner, field.name, field.default_value)
        if self._mask is not None:
            getattr(message, self._mask.name).SetInParent()

    def put_path(self, message: Message, values: Sequence[str]) -> None:
        """Put the values of the path into a request.

        Raises:
            Failure: INVALID_ARGUMENT that names the variable.
        """
        for parameter, text in zip(self._path, values, strict=True):
            parameter.put(message, text)

    def bind_raw(self, values: Sequence[str], query: bytes, fields: dict[str, list[str]], content_type: str) -> Message:
        """Return a request for a body that is no JSON, without the bytes; `fields` are those of a form.

        Raises:
            Failure: INVALID_ARGUMENT that names what does not fit.
        """
        message = self.bind(values, query, b"")
        if fields:
            self._query.fill(message, fields)
        if self.raw is not None:
            self.raw.describe(message, content_type)
        return message

    def empty(self) -> Message:
        """Return a request in which nothing is set."""
        return self._request_class()

    def with_bytes(self, message: Message, data: bytes) -> Message:
        """Return the request with bytes of a body that is no JSON in it."""
        if self.raw is not None:
            self.raw.put(message, data)
        return message

    def _raw_target(self, request: Descriptor, binding: Binding) -> RawTarget | None:
        fields = [] if binding.body == _WHOLE else walk(request, binding.body)
        return raw_target(request, fields, _reaching(fields[:-1]))

    def read_message(self, text: bytes) -> Message:
        """Return the message of an upload stream that a JSON value is.

        Raises:
            Failure: INVALID_ARGUMENT that names what does not fit.
        """
        message = self._request_class()
        try:
            self._whole(message, parse_json(text))
            refuse_half_pairs(text)
        except JsonInvalid as error:
            raise invalid_field("", str(error), go=error.go) from None
        except ValueInvalid as error:
            raise _refused(error, text, self._request_type) from None
        return message

    def _bind_body_field(self, request: Descriptor, path: str, codec: Codec) -> None:
        fields = walk(request, path)
        self._body_path = tuple(field.name for field in fields)
        self._body_field = fields[-1]
        self._owner = _reaching(fields[:-1])
        self._decode = codec.field_decoder(fields[-1])
        self._body_type = None if fields[-1].is_repeated else fields[-1].message_type

    def _read_body(self, message: Message, body: bytes) -> None:
        try:
            content = parse_json(body)
            if self._decode is not None:
                self._decode(self._owner(message), content)
            refuse_half_pairs(body)
            if self._mask is not None and self._body_type is not None:
                mask: Any = getattr(message, self._mask.name)
                if not mask.paths:
                    exact = self._dialect.fills_from_empty_bodies
                    mask.paths.extend(mask_paths(self._body_type, content, of_empty=[""] if exact else []))
        except JsonInvalid as error:
            raise invalid_field("", str(error), go=error.go) from None
        except ValueInvalid as error:
            raise _refused(error, body, self._body_type) from None


class _PathParameter:
    def __init__(self, request: Descriptor, path: str, separator: str) -> None:
        fields = walk(request, path)
        put = put_text(fields[-1], in_path=len(fields) == 1)
        if put is None:
            raise BindingInvalid(f"{request.full_name}.{path} cannot stand in a path")
        self.names = tuple(field.name for field in fields)
        self._path = path
        self._separator = separator
        self._field = fields[-1]
        self._owner = _reaching(fields[:-1])
        self._put: Put = put
        self._plain = (
            fields[-1].type == FieldDescriptor.TYPE_STRING and len(fields) == 1 and not self._field.is_repeated
        )

    def put(self, message: Message, text: str) -> None:
        if self._plain:
            setattr(message, self._path, text)
            return
        try:
            owner = self._owner(message)
            owner.ClearField(self._field.name)
            for part in text.split(self._separator) if self._field.is_repeated else (text,):
                self._put(owner, part)
        except ValueInvalid as error:
            text = f"type mismatch, parameter: {self._path}, error: "
            raise invalid_field(self._path, text + error.problem, go=text + error.go) from None


class ResponseShaper:
    """Says which part of the responses of one binding is sent."""

    def __init__(self, response: Descriptor, binding: Binding, codec: Codec) -> None:
        """Compile the binding's response_body.

        Raises:
            BindingInvalid: it names an unknown field.
        """
        path = binding.response_body
        fields = walk(response, path) if path and path != _WHOLE else []
        self.field = fields[-1] if fields else None
        self.to_json = codec.encoder(response) if not fields else _composed(fields, codec)
        self._escapes = self.field is not None and applies_to(self.field)

    def dump(self, message: Any) -> bytes:
        """Return the JSON text of a response; a single value is escaped as encoding/json does."""
        text = dump_json(self.to_json(message))
        return escaped(text) if self._escapes else text


def _composed(fields: list[FieldDescriptor], codec: Codec) -> Callable[[Any], Any]:
    encode = codec.field_encoder(fields[-1])
    if len(fields) == 1:
        return encode
    reach = _reaching(fields[:-1])
    return lambda message: encode(reach(message))


def _refused(error: ValueInvalid, text: bytes, body_type: Descriptor | None) -> Failure:
    message = f"{error.path}: {error.problem}" if error.path else f"body: {error.problem}"
    return invalid_field(error.path, message, go=explain(error, text, body_type))


def walk(descriptor: Descriptor, path: str) -> list[FieldDescriptor]:
    """Return the fields of a dotted path.

    Raises:
        BindingInvalid: there is no such field.
    """
    fields: list[FieldDescriptor] = []
    for name in path.split("."):
        owner = fields[-1].message_type if fields else descriptor
        field = owner.fields_by_name.get(name) if owner is not None else None
        if field is None:
            raise BindingInvalid(f"{descriptor.full_name} has no field {path}")
        fields.append(field)
    return fields


def _reaching(fields: Sequence[FieldDescriptor]) -> Callable[[Any], Any]:
    names = [field.name for field in fields]

    def reach(message: Any) -> Any:
        for name in names:
            message = getattr(message, name)
        return message

    return reach
