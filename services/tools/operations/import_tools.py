"""Make tools of the operations of an OpenAPI document, or of what an MCP server can do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.chassis.errors import InvalidFields
from services.chassis.identifiers import new_id
from services.chassis.owners import Who
from services.tools.errors import DocumentInvalid, ServerUnusable, SourceInvalid
from services.tools.operations.keep_tools import KeepTools
from services.tools.operations.send_secrets import SendSecrets
from services.tools.ports import CallFailed, Documents, Egress, McpServers, Skipped
from services.tools.rules import McpSource, SecretHeader, Tool, check_secret_headers, check_url
from services.tools.rules.imports import names_for_models

_MOST_TOOLS = 500


@dataclass(frozen=True, slots=True)
class ImportTools:
    """The operations that register several tools at once, all of them or none."""

    tools: KeepTools
    documents: Documents
    servers: McpServers
    secrets: SendSecrets
    egress: Egress

    async def openapi(
        self, who: Who, document: str, operation_ids: Sequence[str], server_url: str, headers: tuple[SecretHeader, ...]
    ) -> tuple[list[Tool], list[Skipped]]:
        """Register operations of an OpenAPI 3 document and return the tools, and the operations that were left out.

        Raises:
            SourceInvalid, InvalidFields: `server_url` or a header cannot be used.
            DocumentInvalid: the document cannot be read, leads nowhere, or lacks one of the operations.
            SandboxBusy: it cannot be read now.
            and what KeepTools.create raises.
        """
        if server_url:
            check_url(server_url, "server_url")
        check_secret_headers(headers, None, "secret_headers")
        found, skipped = await self.documents.tools(document, operation_ids, server_url, who.owner)
        wanted = [replace(tool, secret_headers=headers) for tool in found]
        try:
            return await self.tools.create_all(who, wanted), skipped
        except SourceInvalid as wrong:
            raise DocumentInvalid(
                cause=f"{wrong.fields['field'].removeprefix('tool.')}: {wrong.fields['cause']}"
            ) from None

    async def mcp(
        self, who: Who, server: McpSource, names: Sequence[str], headers: tuple[SecretHeader, ...]
    ) -> list[Tool]:
        """Register tools of an MCP server and return them.

        Raises:
            SourceInvalid, InvalidFields: the server's URL or a header cannot be used.
            ServerUnusable: the server cannot be reached, or lacks one of the tools.
            and what KeepTools.create raises.
        """
        _check_server(server, headers)
        await self.egress.check(server, has_secrets=bool(headers))
        listing = replace(server, tool="")
        await self.secrets.check(who.owner, headers, listing)
        try:
            secrets = await self.secrets.headers(who.owner, who.user_id, headers, listing)
            listed = await self.servers.tools(server, secrets)
        except CallFailed as failure:
            raise ServerUnusable(cause=failure.message) from None
        found = {one[0]: one for one in reversed(listed)}
        for name in names:
            if name not in found:
                raise ServerUnusable(cause=f"it has no tool {name}")
        if len(set(names) or found) > _MOST_TOOLS:
            raise ServerUnusable(cause=f"it has {len(found)} tools, more than {_MOST_TOOLS}: name those that you want")
        called = names_for_models(found)
        wanted = [
            Tool(
                tool_id=new_id(),
                name=called[name],
                description=description[:4000],
                arguments_schema=schema,
                source=McpSource(server.url, server.command, name),
                secret_headers=headers,
                idempotent=idempotent,
                # What changes something is asked about; the owner may say otherwise.
                needs_approval=not read_only,
            )
            for name, description, schema, idempotent, read_only in dict.fromkeys(found[one[0]] for one in listed)
            if not names or name in names
        ]
        return await self.tools.create_all(who, wanted)


def _check_server(server: McpSource, headers: tuple[SecretHeader, ...]) -> None:
    if bool(server.url) == bool(server.command):
        raise InvalidFields([("server", "must have either a url or a command")])
    if server.url:
        check_url(server.url, "server.url")
    check_secret_headers(headers, server, "secret_headers")
