"""Reads the option parley.rest.v1.answer: the status of answers that succeed, and when an RPC goes away."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from google.protobuf.descriptor import MethodDescriptor
from parley.rest.v1 import rest_pb2

from adapters.rest.metadata import Headers

DEPRECATION, SUNSET, LINK = "Deprecation", "Sunset", "Link"
WITHOUT_BODY = frozenset({204, 205, 304})
"""The statuses of answers that have no body."""
_OK = 200
_LAST_SUCCESS = 299
_NOT_IN_A_URL = frozenset('<>"\\^`{|}')


class AnswerOptionsInvalid(Exception):
    """The option says what HTTP cannot."""


class AnswerOptions(NamedTuple):
    """How the answers of an RPC look, beside their content."""

    status: int
    """Of an answer that succeeds."""
    marks: Headers
    """The headers that every answer has, errors too."""


def read_answer_options(method: MethodDescriptor) -> AnswerOptions:
    """Return the option of an RPC; 200 and no headers when it has none.

    Raises:
        AnswerOptionsInvalid: a status is no success, a time is no time or a URL is none.
    """
    options = method.GetOptions()
    if not options.HasExtension(rest_pb2.answer):
        return AnswerOptions(_OK, [])
    answer = options.Extensions[rest_pb2.answer]
    status = answer.success_status or _OK
    if not _OK <= status <= _LAST_SUCCESS:
        raise AnswerOptionsInvalid(f"success_status {status} is none from {_OK} to {_LAST_SUCCESS}")
    if method.server_streaming and status in WITHOUT_BODY:
        raise AnswerOptionsInvalid(f"success_status {status} has no body, and the RPC answers with a stream")
    return AnswerOptions(status, _headers(answer.deprecation))


def _headers(deprecation: rest_pb2.Deprecation) -> Headers:
    headers: Headers = []
    since = _time("since", deprecation.since)
    sunset = _time("sunset", deprecation.sunset)
    if since is not None:
        headers.append((b"deprecation", f"@{int(since.timestamp())}".encode()))
    if sunset is not None:
        if since is not None and sunset < since:
            raise AnswerOptionsInvalid(f"sunset {deprecation.sunset} is before since {deprecation.since}")
        headers.append((b"sunset", format_datetime(sunset, usegmt=True).encode()))
    relations = {"successor": "successor-version", "documentation": "deprecation"}
    for name, relation in relations.items():
        if url := _url(name, getattr(deprecation, name)):
            headers.append((b"link", f'<{url}>; rel="{relation}"'.encode()))
    return headers


def _time(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise AnswerOptionsInvalid(f"{name} {text!r} is no time such as 2027-01-31 or 2027-01-31T12:00:00Z") from None
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)


def _url(name: str, text: str) -> str:
    if not all("!" <= character <= "~" and character not in _NOT_IN_A_URL for character in text):
        raise AnswerOptionsInvalid(f"{name} {text!r} is no URL")
    try:
        urlsplit(text)
    except ValueError:
        raise AnswerOptionsInvalid(f"{name} {text!r} is no URL") from None
    return text
