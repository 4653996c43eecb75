"""The parts of this service, chosen and put together. The only file that names concrete classes."""

from parley.bots.v1 import (
    application_service_pb2,
    application_service_pb2_grpc,
    bot_service_pb2,
    bot_service_pb2_grpc,
    prompt_service_pb2,
    prompt_service_pb2_grpc,
    prompt_version_service_pb2,
    prompt_version_service_pb2_grpc,
)

from services.bots.backends.mesh_tools import MeshTools
from services.bots.backends.postgres_answering import PostgresAnswering
from services.bots.backends.postgres_stale_relay import PostgresStaleRelay
from services.bots.backends.postgres_transactions import PostgresTransactions
from services.bots.backends.valkey_caching_answering import ValkeyCachingAnswering
from services.bots.operations.keep_applications import KeepApplications
from services.bots.operations.keep_bots import KeepBots
from services.bots.operations.keep_prompts import KeepPrompts
from services.bots.operations.resolve_bot import ResolveBots
from services.bots.operations.version_prompts import VersionPrompts
from services.bots.servicer import ApplicationServicer, BotServicer, PromptServicer, PromptVersionServicer
from services.bots.settings import BotsSettings
from services.chassis.module import Module, Served
from services.chassis.resources import Resources


async def assemble(resources: Resources) -> Module:
    """Return the service, ready to be served."""
    transactions = PostgresTransactions(resources.database)
    answering = ValkeyCachingAnswering(
        resources.valkey, PostgresAnswering(resources.database), BotsSettings().cache_seconds
    )
    relay = PostgresStaleRelay(resources.database, answering)
    bots = KeepBots(transactions, resources.page_tokens, MeshTools(resources.mesh), relay.wake)
    versions = VersionPrompts(transactions, resources.page_tokens, relay.wake)
    return Module(
        served=(
            Served(
                bot_service_pb2_grpc.add_BotServiceServicer_to_server,
                BotServicer(bots, ResolveBots(answering)),
                bot_service_pb2.DESCRIPTOR.services_by_name["BotService"].full_name,
            ),
            Served(
                application_service_pb2_grpc.add_ApplicationServiceServicer_to_server,
                ApplicationServicer(KeepApplications(transactions, resources.page_tokens, relay.wake)),
                application_service_pb2.DESCRIPTOR.services_by_name["ApplicationService"].full_name,
            ),
            Served(
                prompt_service_pb2_grpc.add_PromptServiceServicer_to_server,
                PromptServicer(KeepPrompts(transactions, resources.page_tokens), versions),
                prompt_service_pb2.DESCRIPTOR.services_by_name["PromptService"].full_name,
            ),
            Served(
                prompt_version_service_pb2_grpc.add_PromptVersionServiceServicer_to_server,
                PromptVersionServicer(versions),
                prompt_version_service_pb2.DESCRIPTOR.services_by_name["PromptVersionService"].full_name,
            ),
        ),
        background=(relay.run,),
    )
