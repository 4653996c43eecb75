"""The parts of this service, chosen and put together. The only file that names concrete classes."""

from parley.conversations.v1 import (
    chat_service_pb2,
    chat_service_pb2_grpc,
    conversation_service_pb2,
    conversation_service_pb2_grpc,
    message_service_pb2,
    message_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
)

from services.chassis import metrics
from services.chassis.data_keys import DataKeys
from services.chassis.jobs import open_publisher
from services.chassis.module import Module, Served
from services.chassis.outbox import Outbox
from services.chassis.resources import Resources
from services.chassis.wake_ups import WakeUps
from services.conversations.backends.mesh_answer_model import MeshAnswerModel
from services.conversations.backends.mesh_bots import MeshBots
from services.conversations.backends.mesh_tools import MeshTools
from services.conversations.backends.postgres_data_keys import PostgresDataKeys
from services.conversations.backends.postgres_transactions import PostgresTransactions
from services.conversations.backends.run_figures import open_runs
from services.conversations.backends.sealed_run_events import SealedRunEvents
from services.conversations.backends.seals import Seals
from services.conversations.backends.tables import EVENT_OUTBOX, OUTBOX
from services.conversations.backends.valkey_run_events import ValkeyRunEvents
from services.conversations.jobs import Answering
from services.conversations.operations.answer_messages import AnswerMessages
from services.conversations.operations.branch_messages import BranchMessages
from services.conversations.operations.chat import Chat
from services.conversations.operations.converse import Converse, ToolLimits
from services.conversations.operations.follow_run import FollowRuns
from services.conversations.operations.keep_conversations import KeepConversations
from services.conversations.operations.recover_runs import RecoverRuns
from services.conversations.operations.send_message import SendMessages
from services.conversations.operations.withdraw_calls import WithdrawCalls
from services.conversations.servicer import ChatServicer, ConversationServicer, MessageServicer, RunServicer
from services.conversations.settings import ConversationsSettings


async def assemble(resources: Resources) -> Module:
    """Return the service, ready to be served or to work."""
    settings = ConversationsSettings()
    wake_ups = WakeUps(resources.valkey)
    outbox, told = Outbox(resources.database, OUTBOX), Outbox(resources.database, EVENT_OUTBOX)
    publisher = open_publisher(resources.settings)
    encryption = resources.custody.field_encryption("conversations")
    seals = Seals(DataKeys(encryption))
    transactions = PostgresTransactions(resources.database, outbox, seals)
    events = SealedRunEvents(ValkeyRunEvents(resources.valkey, wake_ups), resources.database, seals)
    bots = MeshBots(resources.mesh)
    conversations = KeepConversations(transactions, events, resources.page_tokens, bots)
    messages = SendMessages(transactions, resources.page_tokens)
    runs = FollowRuns(transactions, events)
    chat = Chat(transactions, conversations, messages, runs, settings.chat_wait_seconds)
    recovery = RecoverRuns(transactions)
    tools = MeshTools(resources.mesh)
    withdrawing = WithdrawCalls(transactions, tools)
    voice = Converse(
        transactions,
        MeshAnswerModel(resources.mesh),
        settings.system_prompt,
        settings.answer_seconds,
        bots,
        tools,
        ToolLimits(settings.tool_rounds, settings.tool_seconds),
    )
    answers = AnswerMessages(transactions, events, voice, settings.history_size, withdrawing)
    answering = Answering(answers, settings.answers_at_once)

    async def relay() -> None:
        with metrics.looking(open_runs(resources.database)):
            await outbox.relay(publisher.publish)

    async def tell() -> None:
        await told.relay(resources.events.publish)

    async def close() -> None:
        await answering.close()
        await wake_ups.close()
        await publisher.close()

    return Module(
        served=_served(conversations, messages, BranchMessages(transactions), runs, chat),
        background=(relay, tell, recovery.keep_recovering, withdrawing.keep_withdrawing),
        register_jobs=answering.register,
        rewrap=PostgresDataKeys(resources.database, encryption).rewrap,
        close=close,
    )


def _served(
    conversations: KeepConversations, messages: SendMessages, branches: BranchMessages, runs: FollowRuns, chat: Chat
) -> tuple[Served, ...]:
    return (
        Served(
            chat_service_pb2_grpc.add_ChatServiceServicer_to_server,
            ChatServicer(chat, conversations),
            chat_service_pb2.DESCRIPTOR.services_by_name["ChatService"].full_name,
        ),
        Served(
            conversation_service_pb2_grpc.add_ConversationServiceServicer_to_server,
            ConversationServicer(conversations),
            conversation_service_pb2.DESCRIPTOR.services_by_name["ConversationService"].full_name,
        ),
        Served(
            message_service_pb2_grpc.add_MessageServiceServicer_to_server,
            MessageServicer(messages, branches),
            message_service_pb2.DESCRIPTOR.services_by_name["MessageService"].full_name,
        ),
        Served(
            run_service_pb2_grpc.add_RunServiceServicer_to_server,
            RunServicer(runs),
            run_service_pb2.DESCRIPTOR.services_by_name["RunService"].full_name,
        ),
    )
