"""What the operations need from outside."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from services.tools.rules import Answer, Call, GrpcSource, McpSource, Outcome, SecretHeader, Source, Tool
from services.tools.rules.secrets import ToolSecret


class ToolStore(Protocol):
    """Tools, inside one transaction."""

    async def add(self, tool: Tool, owner: str, request_id: UUID | None) -> bool:
        """Store a new tool; False, having stored nothing, when the owner used the request id before.

        Raises ToolNameTaken; roll back then.
        """

    async def by_request(self, owner: str, request_id: UUID) -> Tool | None:
        """Return the tool that was made with a request id."""

    async def get(self, tool_id: UUID, owner: str, *, lock: bool = False) -> Tool | None:
        """Return the owner's tool; `lock` keeps others from changing it until the transaction ends."""

    async def several(self, tool_ids: Sequence[UUID], owners: Sequence[str]) -> list[tuple[Tool, str]]:
        """Return those tools that one of the owners has, without their descriptors, with their owners."""

    async def page(self, owner: str, before: UUID | None, size: int) -> list[Tool]:
        """Return the owner's tools made before `before`, without their descriptors, the last made first."""

    async def at(self, owner: str, sources: Sequence[Source]) -> list[Tool]:
        """Return the owner's tools that lead to one of the places, and lock them.

        Nobody else does the same for this owner until the transaction ends.
        """

    async def save(self, tool: Tool) -> None:
        """Store a changed tool. Raises ToolNameTaken; roll back then."""

    async def delete(self, tool_id: UUID) -> None:
        """Delete a tool."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A call that this worker is to do. `tool` is None when it is gone; `fence` rises with every claim."""

    call: Call
    tool: Tool | None
    owner: str
    fence: int


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls are wanted; None means all."""

    tool_id: UUID | None = None
    conversation_id: UUID | None = None
    waiting_only: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """The calls of an owner that somebody sees: all of them, or those that one user asked for."""

    owner: str
    asked_by: str = ""


class CallStore(Protocol):
    """Calls, inside one transaction."""

    async def add(self, call: Call, owner: str) -> bool:
        """Store a new call, and nudge the workers if it is to be done at once; False when the id was used before."""

    async def get(self, call_id: UUID, sights: Sequence[Sight], *, lock: bool = False) -> Call | None:
        """Return a call if it is in one of the sights."""

    async def several(self, call_ids: Sequence[UUID]) -> list[Call]:
        """Return calls by their ids, whoever owns them."""

    async def page(self, sights: Sequence[Sight], wanted: CallFilter, before: UUID | None, size: int) -> list[Call]:
        """Return the calls in any of the sights before `before`, the last one first."""

    async def approve(self, call: Call, by: str) -> Call:
        """Hand a waiting call to the workers. Call it with the call locked."""

    async def end(self, call_id: UUID, outcome: Outcome, by: str = "") -> Call:
        """End a call that no worker has. Call it with the call locked."""

    async def claim(self, call_id: UUID) -> Claim | None:
        """Take up a call that is requested; None when it is not (any more). One whose run has ended ends instead."""

    async def finish(self, claim: Claim, outcome: Outcome | None) -> Call | None:
        """End a claimed call, or give it back when there is no outcome; None when another worker has it by now."""

    async def run_has_ended(self, run_id: UUID) -> bool:
        """Whether the calls of a run were withdrawn; they are not while this transaction is open."""

    async def end_run(self, run_id: UUID) -> list[Call]:
        """Remember that the calls of a run are withdrawn; lock and return the open ones that no worker has."""

    async def withdrawn(self, run_id: UUID) -> list[Call]:
        """Return the calls of a run that are withdrawn or of unknown outcome."""

    async def lost(self, after: UUID | None, limit: int) -> list[UUID]:
        """Return running calls whose worker is gone, with ids above `after`, in the order of their ids."""

    async def take_over(self, call_id: UUID) -> Claim | None:
        """Take over a running call whose worker is gone; None when another process does, or there is nothing to do."""

    async def overdue(self, at: datetime, after: UUID | None, limit: int) -> list[UUID]:
        """Return calls that nobody approved in time, with ids above `after`, in the order of their ids."""

    async def lock_overdue(self, call_id: UUID, at: datetime) -> bool:
        """Lock a call that nobody approved in time; False when another process has, or it is not (any more)."""

    async def stranded(self, after: UUID | None, limit: int) -> list[UUID]:
        """Return requested calls that nobody took up, with ids above `after`, in the order of their ids."""

    async def nudge_again(self, call_id: UUID) -> bool:
        """Nudge the workers about a stranded call, ever less often; False when it is not (any more)."""

    async def forget(self, before: datetime, limit: int) -> int:
        """Delete calls that ended before a time, unless their run waits for another call; return how many."""

    async def forget_runs(self, before: datetime) -> None:
        """Forget that the calls of runs were withdrawn before a time."""


class SecretStore(Protocol):
    """Where the secrets of owners may be sent, inside one transaction."""

    async def put(self, secret: ToolSecret, owner: str) -> None:
        """Store it, new or in the place of the one of its name."""

    async def get(self, name: str, owner: str, *, lock: bool = False) -> ToolSecret | None:
        """Return the owner's of this name; `lock` keeps others from changing it until the transaction ends."""

    async def several(self, names: Sequence[str], owner: str) -> dict[str, ToolSecret]:
        """Return those of the owner's that there are, by name."""

    async def page(self, owner: str, after: str, size: int) -> list[ToolSecret]:
        """Return the owner's whose names come after `after`, in their order."""

    async def delete(self, name: str, owner: str) -> bool:
        """Delete one; False when there was none."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction gives access to."""

    tools: ToolStore
    calls: CallStore
    secrets: SecretStore


class Transactions(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction; it commits when the block ends and rolls back when it raises."""

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a view for reading: each read sees what is committed by then."""

    def nudge_committed(self) -> None:
        """Say that a nudge has been committed, so that the relay of this process looks at once."""


class CallFailed(Exception):
    """A try of a call did not succeed.

    `done` says whether the tool has done anything: False (certainly not), True (it answered), None (nobody knows).
    `passing` says whether another try may succeed.
    """

    def __init__(self, reason: str, message: str, *, done: bool | None, passing: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.done = done
        self.passing = passing


class Caller(Protocol):
    """Calls tools of one kind of source."""

    async def call(
        self, source: Source, arguments: Mapping[str, Any], headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """Do it and return the answer. `headers` hold the secrets and the idempotency key.

        Raises CallFailed.
        """


class McpServers(Protocol):
    """MCP servers, to be asked what they can do."""

    async def tools(self, server: McpSource, headers: Mapping[str, str]) -> list[tuple[str, str, str, bool, bool]]:
        """Return (name, description, schema, is idempotent, is read-only) of each tool. Raises CallFailed."""


class Members(Protocol):
    """Who is what in which organisation."""

    async def role_of(self, organization_id: str, user_id: str) -> int:
        """Return a parley.access.v1.OrganizationRole, 0 for who is no member. Raises MembershipCheckUnavailable."""


class Schemas(Protocol):
    """Schemas, descriptors and arguments, as strangers write them: checking them is bounded in time and memory."""

    async def check(self, schemas: Sequence[str], owner: str) -> None:
        """Raise SchemaInvalid when one is no usable JSON Schema (Draft 2020-12) of an object; SandboxBusy."""

    async def method(self, source: GrpcSource, owner: str) -> None:
        """Raise SourceInvalid when a source's descriptors do not hold its unary method; SandboxBusy."""

    async def arguments(self, schema: str, arguments: str, owner: str) -> dict[str, Any]:
        """Return arguments, read from JSON, that are as a schema wants them. Raises ArgumentsInvalid, SandboxBusy."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An operation of a document that no tool can do."""

    operation: str
    reason: str


class Documents(Protocol):
    """OpenAPI documents, as strangers write them: reading one is bounded in time and memory."""

    async def tools(
        self, document: str, operation_ids: Sequence[str], server_url: str, owner: str
    ) -> tuple[list[Tool], list[Skipped]]:
        """Return a tool for each wanted operation, each one of the document when none is named, and what was left out.

        Arguments are the parameters in path, query and headers and what a JSON body or a form holds. What changes
        something needs approval, until the owner says otherwise. Raises DocumentInvalid, also when an operation that
        was named cannot be taken; SandboxBusy.
        """


class Egress(Protocol):
    """The guard of what leaves the house."""

    async def check(self, source: Source, *, has_secrets: bool) -> None:
        """Raise EgressRefused when a source leads, now, to where tools may not go."""


class Secrets(Protocol):
    """The secrets of owners."""

    async def headers(self, owner: str, wanted: Sequence[SecretHeader]) -> dict[str, str]:
        """Return the headers with their secrets. Raises CallFailed when one is not set or cannot be had."""


class Endings(Protocol):
    """Tells those who wait that a call has ended, or was approved."""

    async def announce(self, call_id: UUID) -> None:
        """Say that a call has ended or was approved. May be lost."""

    def waiting(self, call_ids: Sequence[UUID]) -> AbstractAsyncContextManager["Ended"]:
        """Listen for the end of calls, and for approvals."""


class Ended(Protocol):
    """Somebody who waits."""

    async def wait(self, seconds: float) -> None:
        """Return when one of the calls has ended or was approved, or after some seconds."""
