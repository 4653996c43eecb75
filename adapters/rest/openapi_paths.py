"""Path templates as OpenAPI writes them: every wildcard is a parameter of its own, with a name of its own."""

import re
from typing import NamedTuple

from google.protobuf.descriptor import FieldDescriptor

from adapters.rest.path_template import DEEP_WILDCARD, WILDCARD, PathTemplate

_UNBOUND = "wildcard"
_PARAMETER = re.compile(r"{[^}]*}")


class Place(NamedTuple):
    """One parameter of a path."""

    name: str
    """`id`; `name` and `name_1` for `{name=shelves/*/books/*}`."""
    field: FieldDescriptor | None
    """The field that it fills; none for a wildcard outside braces."""
    is_whole: bool
    """Whether it is the whole value of the field: it has no literals and no other wildcards beside it."""
    is_deep: bool
    """Whether it may hold slashes."""


class OpenPath(NamedTuple):
    """A path with its parameters, in their order."""

    text: str
    places: tuple[Place, ...]

    @property
    def shape(self) -> str:
        """The path without the names: paths that differ in these only are one path to OpenAPI."""
        return _PARAMETER.sub("{}", self.text)

    def named_as(self, other: "OpenPath") -> "OpenPath":
        """Return the same path with the parameter names of another one of the same shape."""
        places = zip(self.places, other.places, strict=True)
        return OpenPath(other.text, tuple(mine._replace(name=theirs.name) for mine, theirs in places))


def open_path(template: PathTemplate, fields: list[list[FieldDescriptor]]) -> OpenPath:
    """Return the path of a template; `fields` are the fields that its variables name."""
    owners = {
        index: (variable, path)
        for variable, path in zip(template.variables, fields, strict=True)
        for index in range(variable.start, variable.end)
    }
    parts: list[str] = []
    places: list[Place] = []
    for index, segment in enumerate(template.segments):
        if segment not in (WILDCARD, DEEP_WILDCARD):
            parts.append(segment)
            continue
        variable, path = owners.get(index, (None, []))
        wanted = json_path(path) if path else _UNBOUND
        name = _unused(wanted, {place.name for place in places})
        is_whole = variable is not None and variable.end == variable.start + 1
        places.append(Place(name, path[-1] if path else None, is_whole, segment == DEEP_WILDCARD))
        parts.append(f"{{{name}}}")
    return OpenPath("/" + "/".join(parts) + (f":{template.verb}" if template.verb else ""), tuple(places))


def json_path(fields: list[FieldDescriptor] | tuple[FieldDescriptor, ...]) -> str:
    """Return the dotted path of fields by their JSON names."""
    return ".".join(field.json_name for field in fields)


def _unused(wanted: str, used: set[str]) -> str:
    name, number = wanted, 0
    while name in used:
        number += 1
        name = f"{wanted}_{number}"
    return name
