"""The dead letters that RabbitMQ keeps in the queues `<queue>.XQ`."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity

from services.chassis.addresses import Url
from services.chassis.events.cloud_events import CONTENT_TYPE
from services.chassis.events.subscriptions import job_of_packed
from services.chassis.rabbitmq import connect, message_of
from services.operations.backends.failed_messages import failed_message
from services.operations.rules import FailedMessage

_DEAD = ".XQ"


class RabbitmqDeadLetters:
    """Implements the port DeadLetterSource. RabbitMQ does not list its queues, so `queues` does."""

    def __init__(self, url: Url, queues: Callable[[], Awaitable[Iterable[str]]]) -> None:
        self._url = url
        self._queues = queues
        self._connection: AbstractConnection | None = None
        self._seen: set[str] = set()

    @asynccontextmanager
    async def taken(self, limit: int) -> AsyncIterator[Sequence[FailedMessage]]:
        """See the port."""
        try:
            connection = await self._connected()
            # What is not acknowledged when its channel closes goes back to the queue.
            async with connection.channel() as channel:
                found: list[tuple[str, AbstractIncomingMessage]] = []
                for name in sorted(await self._queues()):
                    if await self._exists(connection, name + _DEAD):
                        found += await _take(channel, name, limit - len(found))
                yield [_message(name, message) for name, message in found]
                for _, message in found:
                    await message.ack()
        except BaseException:
            # The connection may be dead without knowing it.
            await self.close()
            raise

    async def _connected(self) -> AbstractConnection:
        if self._connection is None or self._connection.is_closed:
            self._connection = await connect(self._url)
        return self._connection

    async def _exists(self, connection: AbstractConnection, queue: str) -> bool:
        if queue not in self._seen:
            # A question after a queue that is not there closes the channel it was asked on.
            channel = await connection.channel()
            try:
                await channel.declare_queue(queue, passive=True)
            except ChannelNotFoundEntity:
                return False
            await channel.close()
            self._seen.add(queue)
        return True

    async def close(self) -> None:
        """See the port."""
        connection, self._connection = self._connection, None
        self._seen.clear()
        if connection is not None:
            with contextlib.suppress(AMQPError, OSError, RuntimeError):
                await connection.close()


async def _take(channel: AbstractChannel, name: str, limit: int) -> list[tuple[str, AbstractIncomingMessage]]:
    queue = await channel.get_queue(name + _DEAD, ensure=False)
    taken: list[tuple[str, AbstractIncomingMessage]] = []
    while len(taken) < limit and (message := await queue.get(fail=False)) is not None:
        taken.append((name, message))
    return taken


def _message(queue: str, message: AbstractIncomingMessage) -> FailedMessage:
    death = _last_death(message.headers)
    queue, body = _as_job(queue, message)
    time = death.get("time")
    failed_at = time if isinstance(time, datetime) else datetime.now(UTC)
    if failed_at.tzinfo is None:
        failed_at = failed_at.replace(tzinfo=UTC)
    digest = sha256(body).hexdigest()
    return failed_message(
        queue,
        body,
        message_id=message.message_id or digest,
        # The time counts whole seconds; a message that failed anew differs in its body too.
        failure_key=f"{failed_at.isoformat()}/{digest}" if death else digest,
        failed_at=failed_at,
        reason=f"dead-lettered: {death.get('reason', 'unknown')}",
    )


def _as_job(queue: str, message: AbstractIncomingMessage) -> tuple[str, bytes]:
    """Return the queue and the body of what a replay sends: an event goes to the group that failed, as a job."""
    if message.content_type != CONTENT_TYPE:
        return queue, message.body
    topic, _, group = queue.partition(".")
    job = job_of_packed(message.body, topic, group)
    return job.topic, message_of(job).encode()


def _last_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    deaths = headers.get("x-death")
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
