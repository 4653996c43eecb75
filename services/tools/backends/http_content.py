"""Which arguments of a call stand in the headers of an HTTP request, and how the others become its body."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from services.chassis.strict_json import JsonRefused, write_json
from services.tools.ports import CallFailed
from services.tools.rules import HttpSource

_HEADER_VALUE = re.compile(r"[ -~]{0,8000}")


def in_headers(source: HttpSource, arguments: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the headers that arguments stand in, and the other arguments. Raises CallFailed for what none can hold."""
    headers: dict[str, str] = {}
    left = dict(arguments)
    for name in source.header_arguments:
        value = left.pop(name, None)
        if value is None:
            continue
        text = ",".join(_text(name, one) for one in value) if isinstance(value, list) else _text(name, value)
        if not _HEADER_VALUE.fullmatch(text):
            raise _wrong(name, "a header holds printable ASCII only, at most 8000 characters")
        headers[name] = text
    return headers, left


def body_of(source: HttpSource, left: Mapping[str, Any] | None) -> tuple[bytes | None, dict[str, str]]:
    """Return the body made of the arguments that stand nowhere else, and the header that says what it is.

    None where there is none. Raises CallFailed.
    """
    if left is None:
        return None, {}
    if source.form:
        return urlencode(list(_fields(left))).encode(), {"content-type": "application/x-www-form-urlencoded"}
    if source.body_argument and source.body_argument not in left:
        return None, {}
    value = left[source.body_argument] if source.body_argument else left
    try:
        return write_json(value).encode(), {"content-type": "application/json"}
    except JsonRefused as refused:
        raise CallFailed("ARGUMENTS_INVALID", f"the body {refused}", done=False) from None


def _fields(left: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in left.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield name, _text(name, one)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return write_json(value)
    raise _wrong(name, "an object, or a list in a list, stands in a JSON body only")


def _wrong(name: str, cause: str) -> CallFailed:
    return CallFailed("ARGUMENTS_INVALID", f"{name[:100]}: {cause}", done=False)
