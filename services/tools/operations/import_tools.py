"""Make tools of the operations of an OpenAPI document, or of what an MCP server can do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.chassis.identifiers import new_id
from services.chassis.owners import Who
from services.tools.errors import ServerUnusable
from services.tools.operations.keep_tools import KeepTools
from services.tools.ports import CallFailed, Documents, Egress, McpServers, Secrets, Skipped
from services.tools.rules import McpSource, SecretHeader, Tool


@dataclass(frozen=True, slots=True)
class ImportTools:
    """The operations that register several tools at once, all of them or none."""

    tools: KeepTools
    documents: Documents
    servers: McpServers
    secrets: Secrets
    egress: Egress

    async def openapi(
        self, who: Who, document: str, operation_ids: Sequence[str], server_url: str, headers: tuple[SecretHeader, ...]
    ) -> tuple[list[Tool], list[Skipped]]:
        """Register operations of an OpenAPI 3 document and return the tools, and the operations that were left out.

        Raises:
            DocumentInvalid: the document cannot be read, or lacks one of the operations.
            SandboxBusy: it cannot be read now.
            and what KeepTools.create raises.
        """
        found, skipped = await self.documents.tools(document, operation_ids, server_url, who.owner)
        wanted = [replace(tool, secret_headers=headers) for tool in found]
        return await self.tools.create_all(who, wanted), skipped

    async def mcp(
        self, who: Who, server: McpSource, names: Sequence[str], headers: tuple[SecretHeader, ...]
    ) -> list[Tool]:
        """Register tools of an MCP server and return them.

        Raises:
            ServerUnusable: the server cannot be reached, or lacks one of the tools.
            and what KeepTools.create raises.
        """
        await self.egress.check(server, has_secrets=bool(headers))
        try:
            found = await self.servers.tools(server, await self.secrets.headers(who.owner, headers))
        except CallFailed as failure:
            raise ServerUnusable(cause=failure.message) from None
        offered = {name for name, *_ in found}
        for name in names:
            if name not in offered:
                raise ServerUnusable(cause=f"it has no tool {name}")
        wanted = [
            Tool(
                tool_id=new_id(),
                name=name_for_models(name),
                description=description[:4000],
                arguments_schema=schema,
                source=McpSource(server.url, server.command, name),
                secret_headers=headers,
                idempotent=idempotent,
                # What changes something is asked about; the owner may say otherwise.
                needs_approval=not read_only,
            )
            for name, description, schema, idempotent, read_only in found
            if not names or name in names
        ]
        return await self.tools.create_all(who, wanted)


def name_for_models(name: str) -> str:
    """Return a name that every model takes: letters, digits, `_` and `-`, at most 64 of them."""
    cleaned = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return (cleaned if re.match(r"[A-Za-z_]", cleaned) else f"_{cleaned}")[:64]
