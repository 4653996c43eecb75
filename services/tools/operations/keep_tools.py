"""Register, list, change and delete tools."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from services.chassis.errors import InvalidFields
from services.chassis.etags import check_etag, etag_of
from services.chassis.identifiers import new_id
from services.chassis.owners import Who, owners_for
from services.chassis.pagination import HEAVY_PAGE_SIZE, PageTokens
from services.tools.errors import EtagMismatch, RequestIdReused, ToolNotFound
from services.tools.operations.send_secrets import SendSecrets
from services.tools.ports import Egress, Schemas, Transactions
from services.tools.rules import GrpcSource, Tool, check_secret_headers, check_source, server_of, updated
from services.tools.rules.imports import joined


@dataclass(frozen=True, slots=True)
class KeepTools:
    """The operations on tools. Every one acts for an owner; another owner's tool is not found."""

    transactions: Transactions
    page_tokens: PageTokens
    egress: Egress
    schemas: Schemas
    secrets: SendSecrets

    async def create(self, who: Who, wanted: Tool, request_id: UUID | None) -> Tool:
        """Register a tool and return it; the same `request_id` again returns the same tool.

        Raises:
            InvalidFields, SchemaInvalid, SourceInvalid, EgressRefused, SecretNotAllowed: the tool cannot be used.
            ToolNameTaken: the owner has one of this name.
            RequestIdReused: the request id came before with another tool.
        """
        await self.check(who, [wanted])
        now = datetime.now(UTC)
        tool = replace(wanted, tool_id=new_id(), created_at=now, updated_at=now)
        async with self.transactions.begin() as tx:
            before = None if request_id is None else await tx.tools.by_request(who.owner, request_id)
            if before is None:
                if await tx.tools.add(tool, who.owner, request_id):
                    return tool
                assert request_id is not None  # noqa: S101 - nothing else can clash
                before = await tx.tools.by_request(who.owner, request_id)
        if before is None or before.name != tool.name:
            raise RequestIdReused(request_id=request_id)
        return before

    async def create_all(self, who: Who, wanted: Sequence[Tool]) -> list[Tool]:
        """Register imported tools, all of them or none, and return them.

        One that the owner has already, because it leads to the same place, takes what is new about it and keeps its
        name and what the owner decided about it. Raises as `create`.
        """
        await self.check(who, wanted)
        now = datetime.now(UTC)
        async with self.transactions.begin() as tx:
            before = await tx.tools.at(who.owner, [tool.source for tool in wanted])
            there = {tool.tool_id: tool.revision for tool in before}
            made = []
            for found in joined(before, wanted):
                tool = replace(found, updated_at=now)
                if found.tool_id not in there:
                    tool = replace(tool, tool_id=new_id(), created_at=now)
                    await tx.tools.add(tool, who.owner, None)
                elif found.revision != there[found.tool_id]:
                    await tx.tools.save(tool)
                else:
                    tool = found
                made.append(tool)
        return made

    async def check(self, who: Who, tools: Sequence[Tool]) -> None:
        """Raise as `create` when one of the tools cannot be used."""
        for tool in tools:
            if not tool.name:
                raise InvalidFields([("tool.name", "is required")])
            check_source(tool.source, bool(tool.secret_headers))
            check_secret_headers(tool.secret_headers, tool.source, "tool.secret_headers")
        await self.schemas.check([tool.arguments_schema for tool in tools], who.owner)
        for tool in tools:
            if isinstance(tool.source, GrpcSource):
                await self.schemas.method(tool.source, who.owner)
        # Several tools of one server lead to one place, whose name is looked up once.
        for source, has_secrets in {(server_of(tool.source), bool(tool.secret_headers)) for tool in tools}:
            await self.egress.check(source, has_secrets=has_secrets)
        for tool in tools:
            await self.secrets.check(who.owner, tool.secret_headers, tool.source)

    async def page(self, who: Who, size: int, token: str) -> tuple[Sequence[Tool], str]:
        """Return a page of the owner's tools, the last made first, and the token of the next one."""
        asked = self.page_tokens.asked(f"tools/{who.owner}", size, token, HEAVY_PAGE_SIZE)
        async with self.transactions.read() as tx:
            found = await tx.tools.page(who.owner, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.tool_id)

    async def get(self, who: Who, tool_id: UUID) -> Tool:
        """Return one tool. Raises ToolNotFound."""
        async with self.transactions.read() as tx:
            found = await tx.tools.get(tool_id, who.owner)
        if found is None:
            raise ToolNotFound(tool_id=tool_id)
        return found

    async def describe(self, tool_ids: Sequence[UUID], user_id: str, organization_id: str) -> list[Tool]:
        """Return the tools that are the user's or the organisation's, in the order in which they were asked for."""
        owners = owners_for(user_id, organization_id)
        async with self.transactions.read() as tx:
            found = {tool.tool_id: tool for tool, _ in await tx.tools.several(tool_ids, owners)}
        return [found[tool_id] for tool_id in dict.fromkeys(tool_ids) if tool_id in found]

    async def update(self, who: Who, wanted: Tool, paths: Sequence[str], given: Sequence[str], etag: str) -> Tool:
        """Change the fields that the mask names, or else the given ones, and return the tool.

        Raises:
            ToolNotFound: the owner has none with this id.
            EtagMismatch: it has changed since `etag`.
            FieldNotUpdatable: the mask names a field that does not exist or is the server's.
            InvalidFields, SchemaInvalid, SourceInvalid, EgressRefused, SecretNotAllowed: the tool could not be used.
            ToolNameTaken: the owner has another one of this name.
        """
        found = await self.get(who, wanted.tool_id)
        # Names are resolved before the transaction: that may take seconds.
        await self.check(who, [updated(found, wanted, paths, given)])
        async with self.transactions.begin() as tx:
            locked = await tx.tools.get(wanted.tool_id, who.owner, lock=True)
            if locked is None:
                raise ToolNotFound(tool_id=wanted.tool_id)
            check_etag(locked.revision, etag or etag_of(found.revision), EtagMismatch)
            changed = updated(locked, wanted, paths, given)
            changed = replace(changed, revision=locked.revision + 1, updated_at=datetime.now(UTC))
            await tx.tools.save(changed)
        return changed

    async def delete(self, who: Who, tool_id: UUID) -> None:
        """Delete a tool; calls that wait for it fail when they are taken up. Raises ToolNotFound."""
        async with self.transactions.begin() as tx:
            if await tx.tools.get(tool_id, who.owner, lock=True) is None:
                raise ToolNotFound(tool_id=tool_id)
            await tx.tools.delete(tool_id)
