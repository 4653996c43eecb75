"""Lists of header names in settings: `x-tenant,x-b3-*`. A star at the end stands for whatever follows."""

import re
from collections.abc import Callable, Iterable

_ENTRY = re.compile(r"[a-z0-9._-]+\*?|\*")
# gRPC or the HTTP server writes these itself; a second value would break the call or the answer.
_OF_THE_CONNECTION = "connection keep-alive proxy-connection te trailer transfer-encoding upgrade"
_KEPT = frozenset(f"{_OF_THE_CONNECTION} content-length content-type host user-agent".split())
Listed = Callable[[str], bool]


def parse_names(text: object) -> tuple[str, ...]:
    """Return the lower-case entries of a list with commas, or of a list.

    Raises:
        ValueError: an entry is no name, or one that cannot be passed on.
    """
    entries = text.split(",") if isinstance(text, str) else text
    if not isinstance(entries, list | tuple):
        raise ValueError("expected names with commas between them")
    names = tuple(str(entry).strip().lower() for entry in entries if str(entry).strip())
    for name in names:
        if not _ENTRY.fullmatch(name):
            raise ValueError(f"{name!r} is no header name, nor the beginning of one with * after it")
        if name in _KEPT or name.startswith("grpc-"):
            raise ValueError(f"{name!r} cannot be passed on")
    return names


def listed(names: Iterable[str]) -> Listed:
    """Return what tells whether a lower-case name is in the list."""
    every = tuple(names)
    exact = frozenset(name for name in every if not name.endswith("*"))
    beginnings = tuple(name[:-1] for name in every if name.endswith("*"))

    def is_listed(name: str) -> bool:
        if name in exact:
            return True
        return name.startswith(beginnings) and name not in _KEPT and not name.startswith("grpc-")

    return is_listed
