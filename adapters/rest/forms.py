"""Form bodies: the way of long queries, and of clients that can only POST."""

from adapters.rest.metadata import Caller

FORM = "application/x-www-form-urlencoded"
_WITH_FORM = ("POST", "PUT", "PATCH")


def is_plain_form_post(http_method: str, caller: Caller) -> bool:
    """Return whether a request may ask for another method; grpc-gateway wants the type without parameters."""
    return http_method == "POST" and caller.content_type == FORM


def has_form(http_method: str, caller: Caller) -> bool:
    """Return whether the body is a form, whose values come before those of the query."""
    content_type = caller.content_type
    return http_method in _WITH_FORM and content_type.partition(";")[0].strip().lower() == FORM
