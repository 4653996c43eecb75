"""OpenAPI documents, read in a sandbox."""

import json
from collections.abc import Sequence
from typing import Any

from services.chassis.identifiers import new_id
from services.chassis.sandbox.running import LimitExceeded, Limits, Refused, Sandbox
from services.chassis.texts import cleaned
from services.tools.backends.foreign import openapi
from services.tools.errors import DocumentInvalid
from services.tools.ports import Skipped
from services.tools.rules import HttpSource, Tool

_OPERATIONS = f"{openapi.__name__}:{openapi.operations.__name__}"
_LIMITS = Limits(cpu_seconds=6, seconds=45.0)
# The methods by which doing something twice does no more than doing it once (RFC 9110).
_IDEMPOTENT = ("GET", "PUT", "DELETE")
_SAFE = ("GET",)


class OpenApiDocuments:
    """Implements the port Documents."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def tools(
        self, document: str, operation_ids: Sequence[str], server_url: str, owner: str
    ) -> tuple[list[Tool], list[Skipped]]:
        """See the port."""
        wanted = {"document": document, "operation_ids": list(operation_ids), "server_url": server_url}
        try:
            found = json.loads(await self._sandbox.run(_OPERATIONS, json.dumps(wanted).encode(), owner, _LIMITS))
        except (Refused, LimitExceeded) as wrong:
            raise DocumentInvalid(cause=wrong) from None
        skipped = [Skipped(one["operation"], one["reason"]) for one in found["skipped"]]
        return [_tool(one) for one in found["operations"]], skipped


def _tool(found: dict[str, Any]) -> Tool:
    source = HttpSource(
        found["method"],
        found["url"],
        tuple(found["query"]),
        (),
        tuple(found["header_arguments"]),
        found["body_argument"],
        found["form"],
    )
    return Tool(
        tool_id=new_id(),
        name=found["name"],
        description=cleaned(found["description"]),
        arguments_schema=found["schema"],
        source=source,
        idempotent=source.method in _IDEMPOTENT,
        needs_approval=source.method not in _SAFE,
    )
