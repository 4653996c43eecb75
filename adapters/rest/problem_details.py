"""Errors as RFC 9457 problem details, for clients that ask for them by Accept."""

from http import HTTPStatus
from typing import Any

from adapters.rest.codec import dump_json

_CLIENT_CLOSED = 499  # no standard has it
PROBLEM_TYPE = "application/problem+json"


def problem_of(content: dict[str, Any], http_status: int) -> bytes:
    """Return the problem details of a Status as JSON; its code and its details are extension members."""
    title = "Client Closed Request" if http_status == _CLIENT_CLOSED else HTTPStatus(http_status).phrase
    return dump_json(
        {
            "type": "about:blank",
            "title": title,
            "status": http_status,
            "detail": content["message"],
            "code": content["code"],
            "details": content.get("details", []),
        }
    )
