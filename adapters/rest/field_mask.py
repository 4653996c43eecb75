"""Builds the update mask of a PATCH from its JSON body, as grpc-gateway's FieldMaskFromRequestBody does."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from adapters.rest.failures import ValueInvalid
from adapters.rest.query import field_named

_FREE_FORM = {"google.protobuf.Struct", "google.protobuf.Value"}
_LEAVES = {"google.protobuf.Any", "google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"}


def mask_field(request: Descriptor) -> FieldDescriptor | None:
    """Return the request's FieldMask when it has exactly one."""
    masks = [
        field
        for field in request.fields
        if field.message_type is not None
        and field.message_type.full_name == "google.protobuf.FieldMask"
        and not field.is_repeated
    ]
    return masks[0] if len(masks) == 1 else None


def mask_paths(body_type: Descriptor, body: Any, of_empty: list[str]) -> list[str]:
    """Return the sorted paths, in proto names, of the leaves that a JSON body gives, `of_empty` for `{}`.

    Raises:
        ValueInvalid: the body has a field that the type does not have.
    """
    if not isinstance(body, dict):
        return []
    if not body:
        return of_empty
    return sorted(path for name, value in body.items() for path in _paths(body_type, name, value))


def _paths(owner: Descriptor, name: str, value: Any) -> list[str]:
    field = field_named(owner, name)
    if field is None:
        raise ValueInvalid(f'could not find field "{name[:100]}" in "{owner.full_name}"', name[:100])
    kind = field.message_type
    if kind is None or field.is_repeated or not isinstance(value, dict) or not value or kind.full_name in _LEAVES:
        return [field.name]
    if kind.full_name in _FREE_FORM:
        return [f"{field.name}.{path}" for path in _free_paths(value)]
    try:
        return [f"{field.name}.{path}" for key, item in value.items() for path in _paths(kind, key, item)]
    except ValueInvalid as error:
        raise error.inside(name) from None


def _free_paths(value: dict[str, Any]) -> list[str]:
    paths: list[str] = []
    for key, item in value.items():
        nested = _free_paths(item) if isinstance(item, dict) and item else None
        paths.extend([key] if nested is None else [f"{key}.{path}" for path in nested])
    return paths
