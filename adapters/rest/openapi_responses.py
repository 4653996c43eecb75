"""The answers that an operation may give, and the components that describe them."""

from typing import Any

from adapters.rest.answer_options import DEPRECATION, LINK, SUNSET, WITHOUT_BODY, AnswerOptions
from adapters.rest.openapi_schemas import STATUS

Object = dict[str, Any]
_REQUEST_ID, _CHALLENGE, _RETRY_AFTER = "X-Request-Id", "WWW-Authenticate", "Retry-After"
_OF_CODE = {"401": [_CHALLENGE], "429": [_RETRY_AFTER], "503": [_RETRY_AFTER]}
_STATUS = {"$ref": f"#/components/schemas/{STATUS}"}
_JSON = "application/json"

HEADERS: Object = {
    _REQUEST_ID: {"description": "The id under which the logs have this request.", "schema": {"type": "string"}},
    _CHALLENGE: {"description": "What is wrong with the token.", "schema": {"type": "string"}},
    _RETRY_AFTER: {"description": "How many seconds to wait before the next try.", "schema": {"type": "string"}},
    DEPRECATION: {
        "description": "Since when this should not be used: @ and a Unix time.",
        "schema": {"type": "string"},
    },
    SUNSET: {"description": "When this stops to answer.", "schema": {"type": "string"}},
    LINK: {"description": "What replaces this, and where it is described.", "schema": {"type": "string"}},
}
"""The headers of answers, as components."""

RAW_CONTENT: Object = {
    "*/*": {},
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
        }
    },
}
"""What a request may hold beside JSON when its bytes go to the upstream as they are."""

_ERRORS = {
    "400": ("BadRequest", "The request does not fit; the message and google.rpc.BadRequest name the field."),
    "401": ("Unauthorized", "There is no token, it does not count any more, or the credentials are wrong."),
    "403": ("Forbidden", "The caller may not do this."),
    "404": ("NotFound", "There is no such thing, or it belongs to somebody else."),
    "409": ("Conflict", "It is there already, or it changed meanwhile."),
    "413": ("TooLarge", "The body of the request is too large."),
    "429": ("TooManyRequests", "A limit is reached, or the message is too large for the upstream."),
    "500": ("InternalError", "A bug; the message does not tell it, the log does."),
    "503": ("Unavailable", "The upstream is not there or not ready; try again."),
    "504": ("DeadlineExceeded", "It took longer than the deadline allows."),
    "default": ("Error", "An error: the gRPC code, a text and details such as google.rpc.ErrorInfo."),
}


class ErrorResponses:
    """Collects the error answers that a document refers to."""

    def __init__(self) -> None:
        self.components: Object = {}

    def of(self, *, takes_input: bool, has_body: bool, changes: bool, guarded: bool, streams: bool) -> Object:
        """Return the answers by status.

        Credentials may be wrong for an open RPC too (a login): 401 belongs to all operations once access is `guarded`.
        """
        codes = ["400"]
        codes += ["401", "403"] if guarded else []
        codes += ["404"] if takes_input or guarded else []
        codes += ["409"] if changes else []
        codes += ["413"] if has_body else []
        codes += ["429", "500", "503", "504", "default"]
        return {code: self._reference(code, streams=streams) for code in codes}

    def _reference(self, code: str, *, streams: bool) -> Object:
        name, description = _ERRORS[code]
        schema: Object = _STATUS
        if streams:
            # Before the first message, what the upstream refuses is wrapped like a line of the stream.
            name = f"Stream{name}"
            wrapped = {"type": "object", "required": ["error"], "properties": {"error": _STATUS}}
            schema = {"anyOf": [_STATUS, wrapped]}
        if name not in self.components:
            headers = [_REQUEST_ID, *_OF_CODE.get(code, [])]
            self.components[name] = {
                "description": description,
                "headers": referred(*headers),
                "content": {_JSON: {"schema": schema}},
            }
        return {"$ref": f"#/components/responses/{name}"}


def answered(description: str, content: Object) -> Object:
    """Return an answer that succeeded."""
    body = {"content": content} if content else {}
    return {"description": description, "headers": referred(_REQUEST_ID), **body}


def referred(*names: str) -> Object:
    """Return references to headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def as_optioned(answers: Object, options: AnswerOptions) -> Object:
    """Return the answers that succeed with the status and the headers that the RPC's option gives them."""
    names = dict.fromkeys(name.decode().title() for name, _ in options.marks)
    first = dict(answers.pop("200"))
    first["headers"] = {**first["headers"], **referred(*names)}
    if options.status in WITHOUT_BODY:
        first = {"description": "It is done.", "headers": first["headers"]}
    return {str(options.status): first, **answers}


def unary_answer(schema: Object) -> Object:
    """Return the answers of an RPC that answers once."""
    return {"200": answered("The answer.", {_JSON: {"schema": schema}})}


def raw_answer(*, streams: bool) -> Object:
    """Return the answers of an RPC that sends a google.api.HttpBody."""
    return {"200": answered("The content, as it is." + (" It comes in pieces." if streams else ""), {"*/*": {}})}


def stream_answer(schema: Object) -> Object:
    """Return the answers of a server stream."""
    line = {
        "type": "object",
        "description": "One line of the answer: a message, or the error that ends the stream.",
        "properties": {"result": schema, "error": _STATUS},
        "minProperties": 1,
        "maxProperties": 1,
    }
    events = {
        "type": "string",
        "description": "Server-sent events; the data of each is a message as JSON, or a Status in the event `error`.",
    }
    text = (
        "The messages as they come: one JSON object a line, or with `Accept: text/event-stream` server-sent events. "
        "A stream without messages has no content."
    )
    return {
        "200": answered(text, {_JSON: {"schema": line}, "text/event-stream": {"schema": events}}),
        "204": answered("As server-sent events: the stream is at its end, do not come back.", {}),
    }
