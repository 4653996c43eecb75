"""Events that RabbitMQ gave up, because they took too many members of their group down."""

import json
from pathlib import Path

import aio_pika

from services.chassis.events.cloud_events import CONTENT_TYPE, pack
from services.chassis.events.rabbitmq_bus import queue_of
from services.chassis.events.subscriptions import job_of
from services.chassis.identifiers import new_id
from services.chassis.outbox import Event
from services.chassis.rabbitmq import dead_letter_arguments
from services.operations.backends.rabbitmq_dead_letters import RabbitmqDeadLetters
from services.operations.rules import DeadLetter, FailedMessage, LetterState, replay_of
from tests.support.brokers import running_rabbitmq

_TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_a_dead_event_is_replayed_to_the_group_that_failed_and_to_no_other(tmp_path: Path) -> None:
    event = Event(new_id(), "user_paid", "ann", {"amount": "5"}, {"traceparent": f"00-{_TRACE}-b7ad6b7169203331-01"})
    queue = queue_of("user_paid", "notifier")

    async def queues() -> list[str]:
        return [queue]

    with running_rabbitmq(tmp_path) as broker:
        await _bury(broker.url, f"{queue}.XQ", [pack(event), b"no event"])
        source = RabbitmqDeadLetters(broker.url, queues)
        async with source.taken(10) as found:
            readable, unreadable = found
        await source.close()
    job = job_of(event, "user_paid", "notifier")
    assert (readable.queue, readable.actor, readable.message_id) == (job.topic, job.topic, str(job.event_id))
    assert readable.trace_id == _TRACE
    replayed = replay_of(_letter(readable))
    assert (replayed.queue, replayed.actor, replayed.payload) == (job.topic, job.topic, job.payload)
    assert json.loads(unreadable.payload) == {"topic": "user_paid", "group": "notifier", "packed": "bm8gZXZlbnQ="}


async def _bury(url: str, queue: str, bodies: list[bytes]) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(queue, durable=True, arguments=dead_letter_arguments())
        for body in bodies:
            await channel.default_exchange.publish(aio_pika.Message(body, content_type=CONTENT_TYPE), queue)


def _letter(message: FailedMessage) -> DeadLetter:
    return DeadLetter(new_id(), message, LetterState.OPEN, 1, message.failed_at, 1)
