"""The parts of this service, chosen and put together. The only file that names concrete classes."""

from datetime import UTC, datetime, timedelta

from parley.tools.v1 import (
    tool_call_service_pb2,
    tool_call_service_pb2_grpc,
    tool_secret_service_pb2,
    tool_secret_service_pb2_grpc,
    tool_service_pb2,
    tool_service_pb2_grpc,
)

from services.chassis import metrics
from services.chassis.jobs import open_publisher
from services.chassis.memberships import Memberships
from services.chassis.module import Module, Served
from services.chassis.outbox import Outbox
from services.chassis.resources import Resources
from services.chassis.sandbox.running import Sandbox
from services.chassis.wake_ups import WakeUps
from services.tools.backends.bounded_schemas import BoundedSchemas
from services.tools.backends.call_figures import open_calls
from services.tools.backends.egress_guard import EgressGuard
from services.tools.backends.grpc_caller import GrpcCaller
from services.tools.backends.http_caller import HttpCaller
from services.tools.backends.mcp_caller import McpCaller
from services.tools.backends.openapi_documents import OpenApiDocuments
from services.tools.backends.postgres_transactions import PostgresTransactions
from services.tools.backends.stored_secrets import StoredSecrets
from services.tools.backends.tables import OUTBOX
from services.tools.backends.valkey_endings import ValkeyEndings
from services.tools.jobs import Dispatching
from services.tools.operations.decide_calls import DecideCalls
from services.tools.operations.dispatch_call import DispatchCalls
from services.tools.operations.forget_calls import ForgetCalls
from services.tools.operations.import_tools import ImportTools
from services.tools.operations.keep_secrets import KeepSecrets
from services.tools.operations.keep_tools import KeepTools
from services.tools.operations.recover_calls import RecoverCalls
from services.tools.operations.request_calls import Limits, RequestCalls
from services.tools.operations.send_secrets import SendSecrets
from services.tools.operations.withdraw_calls import WithdrawCalls
from services.tools.ports import Caller
from services.tools.rules import GrpcSource, HttpSource, McpSource, Source
from services.tools.servicer import ToolCallServicer, ToolSecretServicer, ToolServicer
from services.tools.settings import ToolsSettings


async def assemble(resources: Resources) -> Module:
    """Return the service, ready to be served or to work."""
    settings = ToolsSettings()
    wake_ups = WakeUps(resources.valkey)
    outbox = Outbox(resources.database, OUTBOX)
    publisher = open_publisher(resources.settings)
    transactions = PostgresTransactions(resources.database, outbox)
    guard = EgressGuard(settings.egress_ports, settings.egress_exceptions)
    endings = ValkeyEndings(resources.valkey, wake_ups)
    members = Memberships(resources.mesh)
    secrets = SendSecrets(transactions, StoredSecrets(resources.custody.secrets), members)
    mcp = McpCaller(guard, settings.max_answer_bytes, settings.mcp_commands)
    sandbox = Sandbox()
    schemas = BoundedSchemas(sandbox)
    tools = KeepTools(transactions, resources.page_tokens, guard, schemas, secrets)
    limits = Limits(settings.max_depth, settings.approval_seconds)
    calls = RequestCalls(transactions, endings, limits, schemas)
    deciding = DecideCalls(transactions, resources.page_tokens, endings, members)
    callers: dict[type[Source], Caller] = {
        HttpSource: HttpCaller(guard, settings.max_answer_bytes),
        GrpcSource: GrpcCaller(guard, settings.max_answer_bytes, sandbox),
        McpSource: mcp,
    }
    dispatching = Dispatching(DispatchCalls(transactions, callers, secrets, endings, schemas), settings.calls_at_once)
    recovery = RecoverCalls(transactions, endings)
    forgetting = ForgetCalls(transactions, timedelta(days=settings.calls_kept_days), _now)

    async def relay() -> None:
        with metrics.looking(open_calls(resources.database)):
            await outbox.relay(publisher.publish)

    async def close() -> None:
        await dispatching.close()
        await wake_ups.close()
        await publisher.close()

    return Module(
        served=(
            Served(
                tool_service_pb2_grpc.add_ToolServiceServicer_to_server,
                ToolServicer(tools, ImportTools(tools, OpenApiDocuments(sandbox), mcp, secrets, guard)),
                tool_service_pb2.DESCRIPTOR.services_by_name["ToolService"].full_name,
            ),
            Served(
                tool_secret_service_pb2_grpc.add_ToolSecretServiceServicer_to_server,
                ToolSecretServicer(KeepSecrets(transactions, resources.page_tokens)),
                tool_secret_service_pb2.DESCRIPTOR.services_by_name["ToolSecretService"].full_name,
            ),
            Served(
                tool_call_service_pb2_grpc.add_ToolCallServiceServicer_to_server,
                ToolCallServicer(calls, deciding, WithdrawCalls(transactions, endings)),
                tool_call_service_pb2.DESCRIPTOR.services_by_name["ToolCallService"].full_name,
            ),
        ),
        background=(relay, recovery.keep_recovering, forgetting.keep_forgetting),
        register_jobs=dispatching.register,
        close=close,
    )


def _now() -> datetime:
    return datetime.now(UTC)
