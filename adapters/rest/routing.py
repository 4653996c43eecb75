"""Finds the endpoint of a request. The route that was registered last wins, as in grpc-gateway."""

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from adapters.rest.dialect import Unescape
from adapters.rest.path_template import DEEP_WILDCARD, WILDCARD, PathTemplate
from adapters.rest.unescaping import decode_segment, deep_decoder, split_raw

E = TypeVar("E")
_MAX_INDEXED_LENGTH = 32


class PathNotFound(Exception):
    """No route has this path."""


class PathMalformed(Exception):
    """The path has a percent sign that starts no escape; Go's HTTP server refuses it before any gateway sees it."""


class MethodNotAllowed(Exception):
    """The path has routes, but none for this HTTP method."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """Take the methods that it has routes for."""
        super().__init__("Method Not Allowed")
        self.allowed = sorted(allowed)


class Match(NamedTuple, Generic[E]):
    """An endpoint with the values of its path variables, in the order of the template."""

    endpoint: E
    values: tuple[str, ...]


class _Route(NamedTuple, Generic[E]):
    template: PathTemplate
    endpoint: E
    literals: tuple[tuple[int, str], ...]
    captures: tuple[int, ...] | None

    def match(self, path: list[str]) -> tuple[str, ...] | None:
        if self.captures is None:
            return self.template.match(path)
        for index, text in self.literals:
            if path[index] != text:
                return None
        return tuple([path[index] for index in self.captures])


class Router(Generic[E]):
    """The routes by HTTP method and number of segments, the newest first."""

    def __init__(self, unescape: Unescape = Unescape.LEGACY) -> None:
        """Start without routes; `unescape` says what becomes of percent-encoding in paths."""
        self._unescape = unescape
        self._deep_value = deep_decoder(unescape)
        self._routes: dict[str, list[_Route[E]]] = {}
        self._index: dict[tuple[str, int], list[_Route[E]]] = {}

    def add(self, http_method: str, template: PathTemplate, endpoint: E) -> None:
        """Register a route before all that are there."""
        self._routes.setdefault(http_method, []).insert(0, _route(template, endpoint))
        self._index.clear()

    def find(self, http_method: str, path: str, raw_path: str = "") -> Match[E]:
        """Return the endpoint of a request; `raw_path` is the path before its percent-encoding was undone.

        Raises:
            PathNotFound: no route has the path under any method.
            MethodNotAllowed: another method has the path.
        """
        encoded = self._unescape is not Unescape.LEGACY and "%" in raw_path
        segments = split_raw(raw_path, self._unescape) if encoded else path[1:].split("/")
        found = self._find(http_method, segments, encoded=encoded)
        if found is not None:
            return found
        others = [method for method in self._routes if method != http_method]
        allowed = [method for method in others if self._find(method, segments, encoded=encoded, first=False)]
        if allowed:
            raise MethodNotAllowed(allowed)
        raise PathNotFound

    def _find(
        self, http_method: str, segments: list[str], *, encoded: bool = False, first: bool = True
    ) -> Match[E] | None:
        last = segments[-1]
        for route in self._candidates(http_method, len(segments)):
            verb = route.template.verb
            path = segments
            if verb:
                at = len(last) - len(verb) - 1
                if at < 0 or not last.endswith(verb) or last[at] != ":":
                    continue
                if at == 0:
                    if first:  # grpc-gateway looks no further, unless it only asks which other methods there are
                        raise PathNotFound
                    continue
                path = [*segments[:-1], last[:at]]
            values = route.template.match(path, decode_segment, self._deep_value) if encoded else route.match(path)
            if values is not None:
                return Match(route.endpoint, values)
        return None

    def _candidates(self, http_method: str, count: int) -> list[_Route[E]]:
        # Longer paths can only match `**`, so they share one entry and the index stays small.
        key = (http_method, min(count, _MAX_INDEXED_LENGTH))
        if key not in self._index:
            if http_method not in self._routes:
                return []
            routes = self._routes[http_method]
            if count < _MAX_INDEXED_LENGTH:
                self._index[key] = [route for route in routes if route.template.admits(count)]
            else:
                self._index[key] = [route for route in routes if route.captures is None]
        return self._index[key]


def _route(template: PathTemplate, endpoint: E) -> _Route[E]:
    simple = (
        template.deep_at < 0
        and len(template.segments) < _MAX_INDEXED_LENGTH
        and all(variable.end == variable.start + 1 for variable in template.variables)
    )
    # The rightmost literal tells routes apart soonest.
    literals = [(index, text) for index, text in enumerate(template.segments) if text not in (WILDCARD, DEEP_WILDCARD)]
    captures = tuple(variable.start for variable in template.variables) if simple else None
    return _Route(template, endpoint, tuple(reversed(literals)), captures)
