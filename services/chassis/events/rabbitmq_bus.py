"""The bus on RabbitMQ: a topic exchange, and a quorum queue for each group.

One consumer of a group is active at a time, so that the events of a key stay in order; when it is lost another of the
group takes over. A group has the events that were published since it first listened; one that the publishing process
subscribes itself has all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue

from services.chassis.addresses import Url
from services.chassis.events.bus import Handler
from services.chassis.events.cloud_events import CONTENT_TYPE, pack
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.outbox import Event
from services.chassis.rabbitmq import connect, dead_letter_arguments, work_arguments

EXCHANGE = "parley.events"
_PREFETCH = 50


def queue_of(topic: str, group: str) -> str:
    """Return the queue of a group."""
    return f"{topic}.{group}"


class RabbitmqBus:
    """Implements EventBus."""

    def __init__(self, url: Url, subscriptions: Subscriptions) -> None:
        self._url = url
        self._subscriptions = subscriptions
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._groups: set[tuple[str, str]] = set()

    async def publish(self, events: Sequence[Event]) -> None:
        """See EventBus."""
        packed = [(event, pack(event)) for event in events]
        try:
            exchange = await self._open()
            # Written in this order on one channel; the confirmations are waited for together.
            await asyncio.gather(*[exchange.publish(_message(*one), one[0].topic, mandatory=False) for one in packed])
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> AbstractExchange:
        if self._exchange is None or self._connection is None or self._connection.is_closed:
            await self.close()
            self._connection = await connect(self._url)
            channel = await self._connection.channel(publisher_confirms=True)
            for topic, group in sorted(self._groups):
                # What this process publishes before its own groups listen is theirs too.
                await _declare(channel, topic, group)
            self._exchange = await _exchange(channel)
        return self._exchange

    def subscribe(self, topic: str, group: str, handler: Handler) -> Callable[[], Awaitable[None]]:
        """See EventBus."""
        self._subscriptions.add(topic, group, handler)
        self._groups.add((topic, group))

        async def listen() -> None:
            async with await connect(self._url) as connection:
                channel = await connection.channel()
                await channel.set_qos(_PREFETCH)
                queue = await _declare(channel, topic, group)
                async with queue.iterator() as messages:
                    async for message in messages:
                        await self._subscriptions.deal_packed(message.body, topic, group)
                        # Only now: what dies before this comes again.
                        await message.ack()
            raise ConnectionError(f"the subscription of {group} to {topic} has ended")

        return listen

    async def close(self) -> None:
        """See EventBus."""
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            await connection.close()


async def _exchange(channel: AbstractChannel) -> AbstractExchange:
    return await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)


async def _declare(channel: AbstractChannel, topic: str, group: str) -> AbstractQueue:
    queue_name = queue_of(topic, group)
    await channel.declare_queue(f"{queue_name}.XQ", durable=True, arguments=dead_letter_arguments())
    arguments = work_arguments(queue_name) | {"x-single-active-consumer": True}
    queue = await channel.declare_queue(queue_name, durable=True, arguments=arguments)
    await queue.bind(await _exchange(channel), topic)
    return queue


def _message(event: Event, packed: bytes) -> aio_pika.Message:
    return aio_pika.Message(
        packed,
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=str(event.event_id),
        headers=dict(event.headers),
    )
