"""The parts of this service, chosen and put together. The only file that names concrete classes."""

from datetime import UTC, datetime, timedelta

import dramatiq
from parley.operations.v1 import (
    action_service_pb2,
    action_service_pb2_grpc,
    dead_letter_service_pb2,
    dead_letter_service_pb2_grpc,
    operation_service_pb2,
    operation_service_pb2_grpc,
    schedule_service_pb2,
    schedule_service_pb2_grpc,
)

from services.chassis.addresses import Url, current
from services.chassis.jobs import publisher_to
from services.chassis.module import Module, Served
from services.chassis.outbox import Outbox
from services.chassis.resources import Resources, open_valkey
from services.operations.backends.outbox_jobs import job_message
from services.operations.backends.postgres_queue_names import PostgresQueueNames, RememberQueues
from services.operations.backends.postgres_transactions import PostgresTransactions
from services.operations.backends.rabbitmq_dead_letters import RabbitmqDeadLetters
from services.operations.backends.tables import OUTBOX
from services.operations.backends.valkey_dead_letters import ValkeyDeadLetters
from services.operations.operations.archive_dead_letters import ArchiveDeadLetters
from services.operations.operations.fire_schedules import FireSchedules
from services.operations.operations.keep_dead_letters import KeepDeadLetters
from services.operations.operations.keep_operations import KeepOperations
from services.operations.operations.keep_schedules import KeepSchedules
from services.operations.operations.replay_dead_letters import ReplayDeadLetters
from services.operations.operations.run_operations import RunOperations
from services.operations.ports import DeadLetterSource
from services.operations.rules import named, targets_of
from services.operations.servicer import ActionServicer, DeadLetterServicer, OperationServicer, ScheduleServicer
from services.operations.settings import OperationsSettings


async def assemble(resources: Resources) -> Module:
    """Return the service, ready to be served or to work."""
    settings = OperationsSettings()
    url = resources.settings.jobs_url
    outbox = Outbox(resources.database, OUTBOX)
    publisher = publisher_to(url, job_message)
    transactions = PostgresTransactions(resources.database, outbox)
    queues = PostgresQueueNames(resources.database, named(settings.queues))
    source = _source(url, queues)
    tokens = resources.page_tokens
    letters = KeepDeadLetters(transactions, tokens, _now)
    replays = ReplayDeadLetters(transactions, _now)
    operations = KeepOperations(transactions, tokens, _now)
    schedules = KeepSchedules(transactions, tokens, _now, targets_of(settings.targets))
    archive = ArchiveDeadLetters(transactions, source)
    running = RunOperations(transactions, replays, _now)
    firing = FireSchedules(transactions, _now, timedelta(days=settings.fires_kept_days))

    async def relay() -> None:
        await outbox.relay(publisher.publish)

    async def tell() -> None:
        await transactions.events.relay(resources.events.publish)

    async def close() -> None:
        await source.close()
        await publisher.close()

    def register_jobs(broker: dramatiq.Broker) -> None:
        broker.add_middleware(RememberQueues(queues, resources.subscriptions))

    return Module(
        served=_served(letters, replays, schedules, operations),
        background=(
            relay,
            tell,
            archive.keep_archiving,
            running.keep_running,
            running.keep_forgetting,
            firing.keep_firing,
            firing.keep_forgetting,
        ),
        register_jobs=register_jobs,
        close=close,
    )


def _served(
    letters: KeepDeadLetters, replays: ReplayDeadLetters, schedules: KeepSchedules, operations: KeepOperations
) -> tuple[Served, ...]:
    return (
        Served(
            dead_letter_service_pb2_grpc.add_DeadLetterServiceServicer_to_server,
            DeadLetterServicer(letters, replays),
            dead_letter_service_pb2.DESCRIPTOR.services_by_name["DeadLetterService"].full_name,
        ),
        Served(
            schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server,
            ScheduleServicer(schedules),
            schedule_service_pb2.DESCRIPTOR.services_by_name["ScheduleService"].full_name,
        ),
        Served(
            operation_service_pb2_grpc.add_OperationServiceServicer_to_server,
            OperationServicer(operations),
            operation_service_pb2.DESCRIPTOR.services_by_name["OperationService"].full_name,
        ),
        Served(
            action_service_pb2_grpc.add_ActionServiceServicer_to_server,
            ActionServicer(operations),
            action_service_pb2.DESCRIPTOR.services_by_name["ActionService"].full_name,
        ),
    )


def _source(url: Url, queues: PostgresQueueNames) -> DeadLetterSource:
    if current(url).startswith("amqp"):
        return RabbitmqDeadLetters(url, queues.names)
    return ValkeyDeadLetters(open_valkey(url))


def _now() -> datetime:
    return datetime.now(UTC)
