"""Finds the endpoint of a request. The route that was registered last wins, as in grpc-gateway."""

from typing import Generic, NamedTuple, TypeVar

from adapters.rest.path_template import DEEP_WILDCARD, WILDCARD, PathTemplate

E = TypeVar("E")
_MAX_INDEXED_LENGTH = 32


class PathNotFound(Exception):
    """No route has this path."""


class MethodNotAllowed(Exception):
    """The path has routes, but none for this HTTP method."""


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

    def __init__(self) -> None:
        self._routes: dict[str, list[_Route[E]]] = {}
        self._index: dict[tuple[str, int], list[_Route[E]]] = {}

    def add(self, http_method: str, template: PathTemplate, endpoint: E) -> None:
        """Register a route before all that are there."""
        self._routes.setdefault(http_method, []).insert(0, _route(template, endpoint))
        self._index.clear()

    def find(self, http_method: str, path: str) -> Match[E]:
        """Return the endpoint of a request.

        Raises:
            PathNotFound: no route has the path under any method.
            MethodNotAllowed: another method has the path.
        """
        segments = path[1:].split("/")
        found = self._find(http_method, segments)
        if found is not None:
            return found
        if any(self._find(other, segments) is not None for other in self._routes if other != http_method):
            raise MethodNotAllowed
        raise PathNotFound

    def _find(self, http_method: str, segments: list[str]) -> Match[E] | None:
        last = segments[-1]
        for route in self._candidates(http_method, len(segments)):
            verb = route.template.verb
            path = segments
            if verb:
                at = len(last) - len(verb) - 1
                if at < 0 or not last.endswith(verb) or last[at] != ":":
                    continue
                if at == 0:
                    raise PathNotFound
                path = [*segments[:-1], last[:at]]
            values = route.match(path)
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
