"""Jobs on RabbitMQ: Dramatiq's broker with quorum queues, and the relay's publisher.

The queues are Dramatiq's: `q` for work, `q.DQ` for what is delayed, `q.XQ` for dead letters. Only `q` is a quorum
queue: each restart of a worker counts as a delivery of every message that it holds, and a delayed one would die of it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import aio_pika
import dramatiq
from aio_pika.abc import AbstractChannel, AbstractConnection
from dramatiq.brokers.rabbitmq import DEAD_MESSAGE_TTL, RabbitmqBroker
from dramatiq.common import dq_name, xq_name
from dramatiq.middleware import Middleware
from pika.connection import Parameters
from pika.credentials import PlainCredentials

from services.chassis.addresses import Url, current, login
from services.chassis.outbox import Event

_HEARTBEAT_SECONDS = 30
_BLOCKED_SECONDS = 15
_CONNECT_SECONDS = 5
# A message that took twenty workers down with it is poison, and goes to the dead letters.
DELIVERY_LIMIT = 20


def _dead_lettering(queue: str) -> dict[str, Any]:
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": xq_name(queue)}


def work_arguments(queue: str) -> dict[str, Any]:
    """Return the arguments of a queue of work: on several nodes, and nothing of it is dropped."""
    return _dead_lettering(queue) | {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        # Dead-lettering is at most once by default: a crash in between would lose the message.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def dead_letter_arguments() -> dict[str, Any]:
    """Return the arguments of a queue of dead letters: they are kept for a week."""
    return {"x-message-ttl": DEAD_MESSAGE_TTL}


class _Login(PlainCredentials):  # type: ignore[misc]
    """The user and the password of a URL, as they are at each new connection."""

    def __init__(self, url: Url) -> None:
        super().__init__(*login(url))
        self._url = url

    def response_for(self, start: Any) -> Any:
        """See PlainCredentials."""
        self.username, self.password = login(self._url)
        return super().response_for(start)

    def __deepcopy__(self, _memo: object) -> "_Login":
        # pika copies its parameters for each connection.
        return self


class QuorumBroker(RabbitmqBroker):
    """Dramatiq's broker on RabbitMQ, with confirmed publishing and quorum queues for work."""

    def __init__(self, url: Url, middleware: list[Middleware]) -> None:
        super().__init__(url=current(url), middleware=middleware, confirm_delivery=True)
        self.url = url
        for parameters in [self.parameters] if isinstance(self.parameters, Parameters) else self.parameters:
            parameters.heartbeat = _HEARTBEAT_SECONDS
            parameters.blocked_connection_timeout = _BLOCKED_SECONDS
            parameters.socket_timeout = _CONNECT_SECONDS
            if not isinstance(url, str):
                parameters.credentials = _Login(url)

    def _declare_queue(self, queue_name: str) -> Any:
        return self.channel.queue_declare(queue=queue_name, durable=True, arguments=work_arguments(queue_name))


async def connect(url: Url) -> AbstractConnection:
    """Return an open connection to the broker; raises within seconds when it does not answer."""
    connection = aio_pika.Connection(aio_pika.connection.make_url(current(url), heartbeat=_HEARTBEAT_SECONDS))
    try:
        await connection.connect(timeout=_CONNECT_SECONDS)
    except BaseException:
        # `aio_pika.connect` leaves this to the garbage collector, which has no loop to close it on.
        await connection.close()
        raise
    return connection


AsMessage = Callable[[Event], dramatiq.Message[Any]]
"""Makes the Dramatiq message of an event, for the queue that the event's topic names."""


def message_of(event: Event) -> dramatiq.Message[Any]:
    """Return the Dramatiq message of an event: the topic is the queue and names the actor too."""
    return dramatiq.Message(
        queue_name=event.topic,
        actor_name=event.topic,
        args=(),
        kwargs=event.payload,
        options=dict(event.headers),
        message_id=str(event.event_id),
    )


class RabbitmqPublisher:
    """Publishes outbox events as Dramatiq messages, many at once on one connection of this process's loop.

    The connection is opened when first needed, and anew after any failure: the relay tries again by itself.
    """

    def __init__(self, url: Url, as_message: AsMessage = message_of) -> None:
        self._url = url
        self._as_message = as_message
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._declared: set[str] = set()

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand the events to the broker and return once it has stored them all; raises otherwise."""
        of_key: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            of_key[event.key].append(event)
        try:
            channel = await self._open()
            for topic in {event.topic for event in events} - self._declared:
                await self._declare(channel, topic)
            # One after the other within a key, so that its order is kept; the keys beside each other, so that the
            # confirmations, each a write to the disk, are waited for together.
            async with asyncio.TaskGroup() as group:
                for same_key in of_key.values():
                    group.create_task(self._publish_in_order(channel, same_key))
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> AbstractChannel:
        if self._channel is None or self._channel.is_closed:
            await self.close()
            self._connection = await connect(self._url)
            # What no queue takes raises.
            self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        return self._channel

    async def _declare(self, channel: AbstractChannel, queue: str) -> None:
        for name, arguments in (
            (queue, work_arguments(queue)),
            (dq_name(queue), _dead_lettering(queue)),
            (xq_name(queue), dead_letter_arguments()),
        ):
            await channel.declare_queue(name, durable=True, arguments=arguments)
        self._declared.add(queue)

    async def _publish_in_order(self, channel: AbstractChannel, events: Sequence[Event]) -> None:
        for event in events:
            message = aio_pika.Message(
                self._as_message(event).encode(),
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=str(event.event_id),
            )
            await channel.default_exchange.publish(message, routing_key=event.topic, mandatory=True)

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        self._declared.clear()
        if connection is not None:
            await connection.close()
