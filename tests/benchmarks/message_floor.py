"""The floor of the road of messages: its stores alone, on the same machine, with no house around them.

A message is one committed row and one confirmed nudge in a quorum queue; its answer is another committed row. There is
no caller, no conversation, no order, no lease, no model and no reader. It has what Parley has: a process that accepts
and publishes and one that answers, each with a pool of database connections; a channel for each thread of a worker.
"""

import asyncio
import sys
import time
from uuid import uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from services.chassis.rabbitmq import connect, work_arguments
from services.chassis.settings import ChassisSettings
from tests.support.stores import running_postgres

_MESSAGES = 2000
_SENDERS = 32
_PREFETCH = 100
_QUEUE = "floor"
_TABLE = "CREATE TABLE said (id uuid PRIMARY KEY, answers uuid, text text NOT NULL, at timestamptz DEFAULT now())"
_DEFAULTS = {name: field.default for name, field in ChassisSettings.model_fields.items()}
_CONNECTIONS, _CHANNELS = _DEFAULTS["database_pool_size"], _DEFAULTS["worker_threads"]


async def measure(broker_url: str) -> float:
    """Return how many messages a second are stored, nudged about, and answered with a stored row."""
    with running_postgres() as url:
        database_url = url.replace("postgresql+asyncpg", "postgresql")
        pool = await _pool(database_url)
        await pool.execute(_TABLE)
        connection = await connect(broker_url)
        module = ("-m", "tests.benchmarks.message_floor", database_url, broker_url)
        worker = await asyncio.create_subprocess_exec(sys.executable, *module)
        try:
            channel = await connection.channel(publisher_confirms=True)
            await _until_consumed(channel)
            return await _road(pool, channel)
        finally:
            worker.kill()
            await worker.wait()
            await connection.close()
            await pool.close()


async def _pool(url: str) -> asyncpg.Pool:
    return await asyncpg.create_pool(url, min_size=_CONNECTIONS, max_size=_CONNECTIONS)


async def _queue(channel: AbstractChannel) -> aio_pika.abc.AbstractQueue:
    return await channel.declare_queue(_QUEUE, durable=True, arguments=work_arguments(_QUEUE))


async def _until_consumed(channel: AbstractChannel) -> None:
    while (await _queue(channel)).declaration_result.consumer_count != _CHANNELS:
        await asyncio.sleep(0.1)


async def _road(pool: asyncpg.Pool, channel: AbstractChannel) -> float:
    numbers = iter(range(_MESSAGES))

    async def send() -> None:
        for number in numbers:
            said = str(uuid4())
            await pool.execute("INSERT INTO said (id, text) VALUES ($1, $2)", said, f"hello {number}")
            message = aio_pika.Message(said.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=_QUEUE, mandatory=True)

    started = time.perf_counter()
    await asyncio.gather(*[send() for _ in range(_SENDERS)])
    while await pool.fetchval("SELECT count(answers) FROM said") < _MESSAGES:
        await asyncio.sleep(0.01)
    return _MESSAGES / (time.perf_counter() - started)


async def _answer_for_ever(database_url: str, broker_url: str) -> None:
    """Be the worker: store an answer for each nudge."""
    pool, connection = await _pool(database_url), await connect(broker_url)

    async def answer(nudge: AbstractIncomingMessage) -> None:
        await pool.execute("INSERT INTO said (id, answers, text) VALUES ($1, $2, $3)", uuid4(), nudge.body.decode(), "")
        await nudge.ack()

    for _ in range(_CHANNELS):
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_PREFETCH)
        await (await _queue(channel)).consume(answer)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_answer_for_ever(*sys.argv[1:]))
