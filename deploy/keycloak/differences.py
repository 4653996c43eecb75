"""Compares what Keycloak has with what is written down."""

from collections.abc import Iterator, Mapping
from typing import Any

_SECRET_WORDS = ("secret", "password")


def differences(wanted: Any, current: Any, path: str = "") -> Iterator[str]:
    """Yield, in words, where `current` does not have what is `wanted`; what only `current` has is left alone.

    The order of texts in a list does not count. Values of secrets are not shown.
    """
    if isinstance(wanted, Mapping) and isinstance(current, Mapping):
        for name, value in wanted.items():
            yield from differences(value, current.get(name), f"{path}.{name}" if path else name)
    elif _plain(wanted) != _plain(current):
        hidden = any(word in path.lower() for word in _SECRET_WORDS)
        yield f"{path}: another value" if hidden else f"{path}: {_short(current)} -> {_short(wanted)}"


def _plain(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    # What was never set is answered as nothing at all.
    return None if value in ("", [], {}) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
