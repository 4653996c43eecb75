"""Compiles and applies JSON Schemas of strangers: in the sandbox, or in the service when that is known to be cheap."""

import json
from functools import lru_cache
from typing import Any

import jsonschema_rs

from services.chassis.sandbox.child import Refused

_SHOWN_VIOLATIONS = 5
# Patterns of strangers: of linear time whatever they are, and small.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1_000_000, dfa_size_limit=1_000_000)


@lru_cache(maxsize=512)
def validator_of(schema: str) -> jsonschema_rs.Draft202012Validator:
    """Return what checks arguments against a JSON Schema (Draft 2020-12) of an object.

    References to anything outside of the schema are not followed. Raises Refused.
    """
    try:
        return jsonschema_rs.Draft202012Validator(json.loads(schema), offline=True, pattern_options=_PATTERNS)
    except (jsonschema_rs.ValidationError, ValueError, RecursionError) as error:
        raise Refused(str(error).splitlines()[0][:500]) from None


def check(schema: str, arguments: Any) -> None:
    """Raise Refused, naming what is wrong, when arguments are not as a schema wants them."""
    validator = validator_of(schema)
    errors = validator.iter_errors(arguments)
    wrong = [_told(error) for error, _ in zip(errors, range(_SHOWN_VIOLATIONS), strict=False)]
    if wrong:
        raise Refused("; ".join(wrong))


def compile_schemas(payload: bytes) -> bytes:
    """Compile each of a JSON list of schemas. Raises Refused."""
    for schema in json.loads(payload):
        validator_of(schema)
    return b""


def check_arguments(payload: bytes) -> bytes:
    """Check arguments against a schema: a JSON list of both, as texts. Raises Refused, with the first violation."""
    schema, arguments = json.loads(payload)
    validator = validator_of(schema)
    instance = json.loads(arguments)
    # Unlike the list of all violations, which may take a thousand times the input's memory, this takes little.
    if not validator.is_valid(instance):
        try:
            validator.validate(instance)
        except jsonschema_rs.ValidationError as error:
            raise Refused(_told(error)) from None
    return b""


def _told(error: jsonschema_rs.ValidationError) -> str:
    return f"{'.'.join(map(str, error.instance_path)) or 'arguments'}: {error.message[:200]}"
