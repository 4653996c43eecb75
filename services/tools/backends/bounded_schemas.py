"""Schemas and arguments of strangers, checked within bounds."""

import asyncio
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from services.chassis.sandbox.running import LimitExceeded, Limits, Refused, Sandbox
from services.chassis.strict_json import JsonRefused, read_json
from services.tools.backends.foreign import grpc_messages
from services.tools.backends.foreign import schemas as foreign
from services.tools.backends.foreign.costs import Cost, cost_of, weight_of
from services.tools.errors import ArgumentsInvalid, SchemaInvalid, SourceInvalid
from services.tools.rules import GrpcSource, read_arguments

_MOST_PARTS = 100_000
# What is checked in this process takes milliseconds; the sandbox's child takes tens of them to start.
_CHEAP_PARTS = 5_000
_CHEAP_WORK = 200_000
# Reading more than this takes a while too.
_SHORT = 16_384
# A model waits for its call.
_CHECKING = Limits(cpu_seconds=1, seconds=8.0)
_COMPILE = f"{foreign.__name__}:{foreign.compile_schemas.__name__}"
_METHOD = f"{grpc_messages.__name__}:{grpc_messages.check_method.__name__}"
_CHECK = f"{foreign.__name__}:{foreign.check_arguments.__name__}"


class BoundedSchemas:
    """Implements the port Schemas: what is known to be cheap at once, the rest in a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def check(self, schemas: Sequence[str], owner: str) -> None:
        """See the port."""
        costly = []
        for schema in dict.fromkeys(schemas):
            cost = await _beside(_counted, schema)
            if not cost.countable or cost.parts > _CHEAP_PARTS:
                costly.append(schema)
                continue
            try:
                await _beside(foreign.validator_of, schema)
            except Refused as refused:
                raise SchemaInvalid(cause=refused) from None
        if not costly:
            return
        try:
            await self._sandbox.run(_COMPILE, json.dumps(costly).encode(), owner)
        except (Refused, LimitExceeded) as wrong:
            raise SchemaInvalid(cause=wrong) from None

    async def method(self, source: GrpcSource, owner: str) -> None:
        """See the port."""
        try:
            await self._sandbox.run(_METHOD, grpc_messages.packed(source.descriptor_set, source.method), owner)
        except (Refused, LimitExceeded) as wrong:
            raise SourceInvalid(cause=f"the descriptor_set cannot be used: {wrong}") from None

    async def arguments(self, schema: str, arguments: str, owner: str) -> dict[str, Any]:
        """See the port."""
        parsed: dict[str, Any] = await _beside(read_arguments, arguments)
        try:
            cost = await _beside(_counted, schema)
            if cost.countable and cost.parts <= _CHEAP_PARTS and cost.parts * weight_of(parsed) <= _CHEAP_WORK:
                foreign.check(schema, parsed)
            else:
                await self._sandbox.run(_CHECK, json.dumps([schema, arguments or "{}"]).encode(), owner, _CHECKING)
        except SchemaInvalid as wrong:
            raise ArgumentsInvalid(cause=f"they cannot be checked, {wrong.message}") from None
        except LimitExceeded as exceeded:
            raise ArgumentsInvalid(cause=f"checking them against the tool's schema {exceeded}") from None
        except Refused as refused:
            raise ArgumentsInvalid(cause=refused) from None
        return parsed


async def _beside(work: Any, text: str) -> Any:
    """Do short work at once, and what takes longer beside the loop."""
    return work(text) if len(text) < _SHORT else await asyncio.to_thread(work, text)


@lru_cache(maxsize=512)
def _counted(schema: str) -> Cost:
    """Return what a schema costs. Raises SchemaInvalid when it is none of an object, or costs too much to be used."""
    try:
        parsed = read_json(schema)
    except JsonRefused as refused:
        raise SchemaInvalid(cause=refused) from None
    if not isinstance(parsed, dict) or parsed.get("type", "object") != "object":
        raise SchemaInvalid(cause="must be a schema of an object")
    cost = cost_of(parsed)
    if cost.parts > _MOST_PARTS:
        raise SchemaInvalid(cause=f"has more than {_MOST_PARTS} parts when its references are written out")
    return cost
