"""Where the arguments of a call stand in an HTTP request."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from services.tools.errors import ArgumentsInvalid
from services.tools.rules import WITHOUT_BODY, HttpSource, filled_url, path_arguments


def placed(source: HttpSource, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Return the URL with its query, and the JSON body of a request, None where there is none.

    Raises ArgumentsInvalid for what neither a path nor a query can hold.
    """
    left = dict(arguments)
    in_path = {name: _in_path(name, left.pop(name, "")) for name in path_arguments(source.url)}
    names = list(left) if source.method in WITHOUT_BODY else [name for name in source.query if name in left]
    query = urlencode([(name, text) for name in names for text in _in_query(name, left.pop(name))])
    return _joined(filled_url(source.url, in_path), query), None if source.method in WITHOUT_BODY else left


def _in_path(name: str, value: Any) -> str:
    texts = [_scalar(name, one) for one in value] if isinstance(value, list) else [_scalar(name, value)]
    text = ",".join(quote(one, safe="") for one in texts)
    if text in ("", ".", ".."):
        # Else an argument would choose another path than the one that the owner wrote.
        raise ArgumentsInvalid(cause="an argument in the path is empty or made of dots")
    return text


def _in_query(name: str, value: Any) -> list[str]:
    if isinstance(value, list):
        return [_scalar(name, one) for one in value if one is not None]
    return [] if value is None else [_scalar(name, value)]


def _scalar(name: str, value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case None:
            raise ArgumentsInvalid(cause=f"{name} may not be null in the path")
    raise ArgumentsInvalid(cause=f"{name} holds an object or a list in a list, which the URL cannot hold")


def _joined(url: str, query: str) -> str:
    if not query:
        return url
    start, mark, fragment = url.partition("#")
    separator = "&" if "?" in start and not start.endswith(("?", "&")) else "" if "?" in start else "?"
    return f"{start}{separator}{query}{mark}{fragment}"
