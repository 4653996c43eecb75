"""The operations of `tools` on real stores."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.chassis.outbox import Outbox
from services.chassis.owners import Who, owner_of
from services.chassis.pagination import PageTokens
from services.chassis.sandbox.running import Sandbox
from services.chassis.secret_stores.environment import EnvironmentSecrets
from services.chassis.secrets import SecretStore
from services.chassis.wake_ups import WakeUps
from services.tools.backends.bounded_schemas import BoundedSchemas
from services.tools.backends.egress_guard import EgressGuard
from services.tools.backends.http_caller import HttpCaller
from services.tools.backends.mcp_caller import McpCaller
from services.tools.backends.openapi_documents import OpenApiDocuments
from services.tools.backends.postgres_transactions import PostgresTransactions
from services.tools.backends.stored_secrets import StoredSecrets
from services.tools.backends.tables import OUTBOX
from services.tools.backends.valkey_endings import ValkeyEndings
from services.tools.operations.decide_calls import DecideCalls
from services.tools.operations.dispatch_call import DispatchCalls
from services.tools.operations.import_tools import ImportTools
from services.tools.operations.keep_secrets import KeepSecrets
from services.tools.operations.keep_tools import KeepTools
from services.tools.operations.recover_calls import RecoverCalls
from services.tools.operations.request_calls import Limits, Origin, RequestCalls, Wanted
from services.tools.operations.send_secrets import SendSecrets
from services.tools.operations.withdraw_calls import WithdrawCalls
from services.tools.ports import Caller
from services.tools.rules import Call, HttpSource, Source, Tool
from services.tools.rules.secrets import ToolSecret
from tests.acceptance.tools.servers import Seen, serving, web

NO_ID = UUID(int=0)
ANY = '{"type": "object"}'


class House:
    """Everything wired as in the product, with an HTTP server that tools may reach."""

    def __init__(self, database: Database, valkey: Redis, port: int, seen: Seen) -> None:
        self.database, self.port, self.seen = database, port, seen
        self.wake_ups = WakeUps(valkey)
        self.transactions = PostgresTransactions(database, Outbox(database, OUTBOX))
        self.guard = EgressGuard([80, 443], [f"127.0.0.1:{port}"])
        self.endings = ValkeyEndings(valkey, self.wake_ups)
        self.sandbox = Sandbox()
        self.schemas = BoundedSchemas(self.sandbox)
        tokens = PageTokens("a secret of the tests, long enough")
        self.roles: dict[tuple[str, str], int] = {}
        stored = StoredSecrets(SecretStore(EnvironmentSecrets(), 60))
        self.secrets = SendSecrets(self.transactions, stored, self)
        self.kept_secrets = KeepSecrets(self.transactions, tokens)
        self.tools = KeepTools(self.transactions, tokens, self.guard, self.schemas, self.secrets)
        mcp = McpCaller(self.guard, 100_000, {})
        self.imports = ImportTools(self.tools, OpenApiDocuments(self.sandbox), mcp, self.secrets, self.guard)
        self.calls = RequestCalls(self.transactions, self.endings, Limits(3, 3600.0), self.schemas)
        self.deciding = DecideCalls(self.transactions, tokens, self.endings, self)
        callers: dict[type[Source], Caller] = {HttpSource: HttpCaller(self.guard, 100_000)}
        self.dispatching = DispatchCalls(self.transactions, callers, self.secrets, self.endings, self.schemas)
        self.recovery = RecoverCalls(self.transactions, self.endings)
        self.withdrawing = WithdrawCalls(self.transactions, self.endings)

    async def role_of(self, organization_id: str, user_id: str) -> int:
        """Implements the port Members with what stands in `roles`."""
        return self.roles.get((organization_id, user_id), 0)

    async def allow(self, who: Who, *names: str, **limits: object) -> None:
        """Let secrets be sent to the server, and only as the limits say."""
        for name in names:
            secret = ToolSecret(name, (f"127.0.0.1:{self.port}",), **limits)  # type: ignore[arg-type]
            await self.kept_secrets.put(who, secret, "")

    async def tool(self, who: Who, path: str, **changes: object) -> Tool:
        """Register a tool that is a request to the server."""
        source = HttpSource("POST", f"http://127.0.0.1:{self.port}{path}")
        values: dict[str, object] = {"timeout_seconds": 5, **changes}
        wanted = Tool(NO_ID, f"t_{new_id().hex}", "", str(values.pop("schema", ANY)), source, **values)  # type: ignore[arg-type]
        return await self.tools.create(who, wanted, None)

    async def request(self, who: Who, *tools: Tool, arguments: str = "{}", depth: int = 0) -> list[Call]:
        """Ask for one call of each tool."""
        wanted = [Wanted(new_id(), tool.tool_id, arguments) for tool in tools]
        return await self.calls.request(wanted, Origin(who.user_id, "", new_id(), new_id(), depth))

    async def done(self, who: Who, *tools: Tool, arguments: str = "{}") -> list[Call]:
        """Ask for one call of each tool, let a worker do them, and return them."""
        calls = await self.request(who, *tools, arguments=arguments)
        await asyncio.gather(*[self.dispatching.dispatch(call.call_id) for call in calls])
        return await self.calls.wait([call.call_id for call in calls], 0)


@pytest.fixture
async def house(database: Database, valkey: Redis) -> AsyncIterator[House]:
    """The operations, wired; each test has its own."""
    seen = Seen()
    async with serving(web(seen)) as port:
        house = House(database, valkey, port, seen)
        yield house
        seen.go_on.set()
        await house.wake_ups.close()


def somebody() -> Who:
    """Return a user that nobody else is."""
    user_id = str(new_id())
    return Who(owner_of(user_id, ""), user_id)


@pytest.fixture
def ann() -> Who:
    """A user of this test alone."""
    return somebody()


@pytest.fixture
def bob() -> Who:
    """Another user."""
    return somebody()
