"""The bus on Kafka: a topic each, partitioned by key.

A group has every event that its topic still holds, from before it first listened too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from services.chassis.addresses import Url, login, without_login
from services.chassis.events.bus import Handler
from services.chassis.events.cloud_events import CONTENT_TYPE, pack
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.outbox import MAX_BYTES, PARTITIONS, Event

_BATCH = 100
_POLL_MS = 500
_REQUEST_BYTES = MAX_BYTES + 64 * 1024  # an event with its headers
_SESSION_MS = 10_000


def client_options(url: Url) -> dict[str, Any]:
    """Return how a client of aiokafka reaches the servers of kafka://USER:PASSWORD@HOST:PORT,…; it may name no user."""
    options: dict[str, Any] = {"bootstrap_servers": without_login(url).partition("://")[2].rstrip("/")}
    user, password = login(url)
    if user:
        options |= {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
        options |= {"sasl_plain_username": user, "sasl_plain_password": password}
    return options


class KafkaBus:
    """Implements EventBus."""

    def __init__(self, url: Url, subscriptions: Subscriptions, replicas: int = 1) -> None:
        self._url = url
        self._subscriptions = subscriptions
        self._replicas = replicas
        self._producer: Any = None
        self._lock = asyncio.Lock()
        self._topics: set[str] = set()

    async def publish(self, events: Sequence[Event]) -> None:
        """See EventBus."""
        packed = [(event, pack(event)) for event in events]
        try:
            await self._ensure_topics({event.topic for event in events})
            producer = await self._open()
            sent = [
                await producer.send(event.topic, body, key=event.key.encode(), headers=_headers(event))
                for event, body in packed
            ]
            await asyncio.gather(*sent)
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> Any:
        async with self._lock:
            if self._producer is None:
                # Idempotent: what the client sends again after a lost answer is stored once, and stays in order.
                producer = AIOKafkaProducer(
                    **client_options(self._url),
                    enable_idempotence=True,
                    acks="all",
                    max_request_size=_REQUEST_BYTES,
                    request_timeout_ms=8_000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _ensure_topics(self, topics: set[str]) -> None:
        missing = topics - self._topics
        if not missing:
            return
        admin = AIOKafkaAdminClient(**client_options(self._url))
        try:
            await admin.start()
            for topic in sorted(missing):
                wanted = NewTopic(
                    topic, PARTITIONS, self._replicas, topic_configs={"max.message.bytes": str(_REQUEST_BYTES)}
                )
                with suppress(TopicAlreadyExistsError):
                    await admin.create_topics([wanted])
        finally:
            await admin.close()
        self._topics |= missing

    def subscribe(self, topic: str, group: str, handler: Handler) -> Callable[[], Awaitable[None]]:
        """See EventBus."""
        self._subscriptions.add(topic, group, handler)

        async def listen() -> None:
            await self._ensure_topics({topic})
            async with _consumer(topic, group, self._url) as consumer:
                while True:
                    batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH)
                    for partition, records in batches.items():
                        for record in records:
                            await self._subscriptions.deal_packed(record.value, topic, group)
                        # Only now: what dies before this comes again.
                        await consumer.commit({partition: records[-1].offset + 1})

        return listen

    async def close(self) -> None:
        """See EventBus."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


@asynccontextmanager
async def _consumer(topic: str, group: str, url: Url):  # type: ignore[no-untyped-def]
    consumer = AIOKafkaConsumer(
        topic,
        **client_options(url),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=_SESSION_MS,
        max_partition_fetch_bytes=_REQUEST_BYTES,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


def _headers(event: Event) -> list[tuple[str, bytes]]:
    kept = {"content-type": CONTENT_TYPE, **event.headers}
    return [(name, value.encode()) for name, value in kept.items()]
