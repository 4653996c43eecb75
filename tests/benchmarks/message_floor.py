"""The floor of the road of messages: its stores alone, on the same machine, with no house around them.

A message is one committed row and one confirmed nudge in a quorum queue; its answer is another committed row. There is
no caller, no conversation, no order, no lease, no model and no reader.
"""

import asyncio
import time
from uuid import uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractIncomingMessage

from services.chassis.rabbitmq import connect, work_arguments
from tests.support.stores import running_postgres

_MESSAGES = 2000
_SENDERS = 32
_PREFETCH = 100
_CONNECTIONS = 10
_QUEUE = "floor"
_TABLE = "CREATE TABLE said (id uuid PRIMARY KEY, answers uuid, text text NOT NULL, at timestamptz DEFAULT now())"


async def measure(broker_url: str) -> float:
    """Return how many messages a second are stored, nudged about, and answered with a stored row."""
    with running_postgres() as url:
        pool = await asyncpg.create_pool(
            url.replace("postgresql+asyncpg", "postgresql"), min_size=_CONNECTIONS, max_size=_CONNECTIONS
        )
        await pool.execute(_TABLE)
        connection = await connect(broker_url)
        try:
            return await _road(pool, await connection.channel(publisher_confirms=True))
        finally:
            await connection.close()
            await pool.close()


async def _road(pool: asyncpg.Pool, channel: aio_pika.abc.AbstractChannel) -> float:
    await channel.set_qos(prefetch_count=_PREFETCH)
    queue = await channel.declare_queue(_QUEUE, durable=True, arguments=work_arguments(_QUEUE))
    answered, all_answered = 0, asyncio.Event()

    async def answer(nudge: AbstractIncomingMessage) -> None:
        nonlocal answered
        await pool.execute("INSERT INTO said (id, answers, text) VALUES ($1, $2, $3)", uuid4(), nudge.body.decode(), "")
        await nudge.ack()
        answered += 1
        if answered == _MESSAGES:
            all_answered.set()

    await queue.consume(answer)
    numbers = iter(range(_MESSAGES))

    async def send() -> None:
        for number in numbers:
            said = str(uuid4())
            await pool.execute("INSERT INTO said (id, text) VALUES ($1, $2)", said, f"hello {number}")
            message = aio_pika.Message(said.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=_QUEUE, mandatory=True)

    started = time.perf_counter()
    await asyncio.gather(*[send() for _ in range(_SENDERS)])
    await all_answered.wait()
    return _MESSAGES / (time.perf_counter() - started)
