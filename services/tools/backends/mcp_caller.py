"""Calls tools of MCP servers, through the SDK of the Model Context Protocol."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from services.chassis.strict_json import JsonRefused, write_json
from services.chassis.texts import cleaned
from services.tools.backends.egress_guard import EgressGuard
from services.tools.backends.guarded_http import AnswerEncoded, AnswerTooLarge, guarded_client
from services.tools.backends.mcp_answers import answer_of, storable
from services.tools.errors import EgressRefused
from services.tools.ports import CallFailed
from services.tools.rules import Answer, McpSource, Source

if TYPE_CHECKING:
    from mcp import Client

_LIST_SECONDS = 20.0
_MOST_PAGES = 20


class McpCaller:
    """Implements the ports Caller (for McpSource) and McpServers. Each use is a session of its own.

    `commands` are the servers that the operators let run here: nobody else can name a command.
    """

    def __init__(self, guard: EgressGuard, max_answer_bytes: int, commands: Mapping[str, Sequence[str]]) -> None:
        self._guard = guard
        self._max_answer_bytes = max_answer_bytes
        self._commands = commands

    async def call(
        self, source: Source, arguments: Mapping[str, Any], headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """See the port."""
        assert isinstance(source, McpSource)  # noqa: S101 - chosen by the type of the source
        begun = False
        with _failures(lambda: begun, self._max_answer_bytes):
            async with self._session(source, headers, seconds) as client:
                begun = True
                # The call's id goes with the request, for servers that know it again.
                meta: Any = {"idempotencyKey": headers.get("Idempotency-Key", "")}
                result = await client.call_tool(source.tool, dict(arguments), meta=meta)
        return answer_of(result, self._max_answer_bytes)

    async def tools(self, server: McpSource, headers: Mapping[str, str]) -> list[tuple[str, str, str, bool, bool]]:
        """See the port McpServers."""
        found: list[tuple[str, str, str, bool, bool]] = []
        with _failures(lambda: False, self._max_answer_bytes):
            async with self._session(server, headers, _LIST_SECONDS) as client:
                cursor: str | None = None
                for _ in range(_MOST_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    for tool in page.tools:
                        hints = tool.annotations
                        read_only = bool(hints and hints.read_only_hint)
                        idempotent = read_only or bool(hints and hints.idempotent_hint)
                        schema, described = _written(tool.input_schema), cleaned(tool.description or "")
                        found.append((storable(tool.name), described, schema, idempotent, read_only))
                    cursor = page.next_cursor
                    if cursor is None:
                        break
        return found

    @asynccontextmanager
    async def _session(self, server: McpSource, headers: Mapping[str, str], seconds: float) -> AsyncIterator["Client"]:
        # Imported with the first use: it takes most of a second, which a process without MCP tools does not pay.
        from mcp import Client, StdioServerParameters
        from mcp.client.streamable_http import streamable_http_client

        if server.command:
            command = self._commands.get(server.command)
            if not command:
                raise CallFailed("TOOL_GONE", f"there is no MCP command {server.command}", done=False)
            parameters = StdioServerParameters(command=command[0], args=list(command[1:]))
            async with Client(parameters, read_timeout_seconds=seconds) as client:
                yield client
            return
        await self._guard.check_url(server.url, has_secrets=any(name != "Idempotency-Key" for name in headers))
        http = guarded_client(self._guard, self._max_answer_bytes * 2, headers, seconds)
        async with (
            http,
            Client(streamable_http_client(server.url, http_client=http), read_timeout_seconds=seconds) as client,
        ):
            yield client


def _written(schema: Any) -> str:
    try:
        return write_json(schema)
    except JsonRefused as refused:
        raise CallFailed("ANSWER_INVALID", f"the schema of a tool {refused}", done=False) from None


@contextmanager
def _failures(begun: Any, max_answer_bytes: int) -> Iterator[None]:
    """Turn what the SDK raises, alone or in groups, into CallFailed."""
    try:
        yield
    except (CallFailed, EgressRefused):
        raise
    except Exception as error:
        from mcp import MCPError

        causes = list(_leaves(error))
        for cause in causes:
            if isinstance(cause, (CallFailed, EgressRefused)):
                raise cause from None
            if isinstance(cause, AnswerTooLarge):
                text = f"the answer has more than {max_answer_bytes} bytes"
                raise CallFailed("ANSWER_TOO_LARGE", text, done=True) from None
            if isinstance(cause, AnswerEncoded):
                raise CallFailed("ANSWER_INVALID", "the answer is compressed", done=True) from None
            if isinstance(cause, MCPError):
                raise CallFailed("TOOL_ERROR", str(cause)[:500], done=bool(begun())) from None
        if any(isinstance(cause, ValidationError) for cause in causes):
            raise CallFailed(
                "ANSWER_INVALID", "the answer is not as the protocol wants it", done=bool(begun())
            ) from None
        done = None if begun() else False
        raise CallFailed("UNREACHABLE", "the MCP server cannot be reached or used", done=done, passing=True) from None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
        if error.__cause__ is not None:
            yield from _leaves(error.__cause__)
