"""The road of messages over RabbitMQ: `python -m tests.benchmarks.messages`. Prints, asserts nothing."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import psutil
from parley.conversations.v1.conversation_service_pb2 import CreateConversationRequest
from parley.conversations.v1.conversation_service_pb2_grpc import ConversationServiceStub
from parley.conversations.v1.message_service_pb2 import SendMessageRequest
from parley.conversations.v1.message_service_pb2_grpc import MessageServiceStub
from parley.conversations.v1.run_service_pb2 import CancelRunRequest, GetRunRequest, StreamRunRequest
from parley.conversations.v1.run_service_pb2_grpc import RunServiceStub
from sqlalchemy import MetaData, text

from services.chassis.database import Database
from services.chassis.jobs import publisher_to
from services.chassis.outbox import Event, Outbox, outbox_table
from tests.benchmarks import message_floor, road
from tests.benchmarks.http_client import HttpConnection
from tests.support.brokers import running_rabbitmq
from tests.support.callers import Person, edge_of
from tests.support.running_mesh import RunningMesh, running_mesh
from tests.support.stores import running_postgres

_WAITING = 600
_CANCELS = 30
_CONNECTIONS = 16
_WARM_UP_SECONDS = 2


def quantiles(seconds: Sequence[float]) -> str:
    """Return the median and the 99th percentile as text."""
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered) * 1000, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms (n={len(ordered)})"


async def accept_at(mesh: RunningMesh, person: Person, rate: float, seconds: float) -> list[float]:
    """Send messages at a steady rate by REST and return how long each took to be accepted, after a warm-up of 2 s."""
    conversations = [await person.open_conversation() for _ in range(50)]
    times: list[float] = []
    free: asyncio.Queue[HttpConnection] = asyncio.Queue()

    async def send(number: int) -> None:
        connection = await free.get()
        started = time.perf_counter()
        path = f"{conversations[number % len(conversations)]}/messages"
        status, body = await connection.call("POST", path, {"text": f"hello {number}"})
        assert status == 200, body
        if number >= rate * _WARM_UP_SECONDS:
            times.append(time.perf_counter() - started)
        free.put_nowait(connection)

    async with AsyncExitStack() as stack:
        for _ in range(_CONNECTIONS):
            free.put_nowait(await stack.enter_async_context(HttpConnection("127.0.0.1", mesh.port, person.token)))
        tasks, begun = [], time.perf_counter()
        for number in range(int(rate * (seconds + _WARM_UP_SECONDS))):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(send(number)))
        await asyncio.gather(*tasks)
    return times


async def outbox_lag(broker_url: str, rate: float, seconds: float) -> list[float]:
    """Store events at a steady rate and return how long each took from its commit until the broker had it."""
    table = outbox_table(MetaData(), "trial")
    stored: dict[str, float] = {}
    lags: list[float] = []
    publisher = publisher_to(broker_url)

    async def publish(events: Sequence[Event]) -> None:
        await publisher.publish(events)
        now = time.perf_counter()
        lags.extend(now - stored[event.key] for event in events if event.key in stored)

    with running_postgres() as url:
        database = Database(url)
        async with database.transaction() as connection:
            await connection.execute(text("CREATE SCHEMA trial"))
            await connection.run_sync(table.metadata.create_all)
        outbox = Outbox(database, table)
        relay = asyncio.create_task(outbox.relay(publish))
        begun = time.perf_counter()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            async with database.transaction() as connection:
                await outbox.add(connection, "lag", str(number), {"n": number})
                stored[str(number)] = time.perf_counter()
            outbox.wake()
        while len(lags) < len(stored):
            await asyncio.sleep(0.05)
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
        await publisher.close()
        await database.close()
    return lags


async def waiting_calls(mesh: RunningMesh, person: Person) -> str:
    """Have many answers under way in one worker whose model takes long, and return how many and the worker's memory."""
    async with grpc.aio.insecure_channel(mesh.address) as channel:
        runs = []
        for _ in range(_WAITING):
            made = await ConversationServiceStub(channel).CreateConversation(
                CreateConversationRequest(), metadata=person.metadata
            )
            sent = await MessageServiceStub(channel).SendMessage(
                SendMessageRequest(conversation_id=made.conversation.id, text="wait " * 40), metadata=person.metadata
            )
            runs.append(sent.run)
        most, deadline = 0, time.perf_counter() + 20
        while most < _WAITING and time.perf_counter() < deadline:
            states = [
                (
                    await RunServiceStub(channel).GetRun(
                        GetRunRequest(conversation_id=run.conversation_id, run_id=run.id), metadata=person.metadata
                    )
                ).run
                for run in runs
            ]
            most = max(most, sum(run.HasField("start_time") and not run.HasField("end_time") for run in states))
        memory = psutil.Process(mesh.pid("worker")).memory_full_info().pss / 1024 / 1024
    return f"{most} of {_WAITING} answers under way at once in one worker of {memory:.0f} MiB (PSS)"


async def cancel_times(mesh: RunningMesh, person: Person) -> list[float]:
    """Cancel answers in the middle and return how long each took until its stream told so."""
    times = []
    async with grpc.aio.insecure_channel(mesh.address) as channel:
        for _ in range(_CANCELS):
            made = await ConversationServiceStub(channel).CreateConversation(
                CreateConversationRequest(), metadata=person.metadata
            )
            sent = await MessageServiceStub(channel).SendMessage(
                SendMessageRequest(conversation_id=made.conversation.id, text="word " * 40), metadata=person.metadata
            )
            stream = StreamRunRequest(conversation_id=made.conversation.id, run_id=sent.run.id)
            cancel = CancelRunRequest(conversation_id=made.conversation.id, run_id=sent.run.id)
            started = 0.0
            async for event in RunServiceStub(channel).StreamRun(stream, metadata=person.metadata):
                if event.WhichOneof("event") == "delta" and not started:
                    started = time.perf_counter()
                    await RunServiceStub(channel).CancelRun(cancel, metadata=person.metadata)
                elif event.WhichOneof("event") == "cancelled":
                    times.append(time.perf_counter() - started)
    return times


async def main() -> None:
    """Measure everything once and print it."""
    with TemporaryDirectory() as folder, running_rabbitmq(Path(folder) / "broker") as broker:
        print(f"outbox lag at 200/s to RabbitMQ: {quantiles(await outbox_lag(broker.url, 200, 15))}", flush=True)
        with running_mesh(Path(folder) / "house", broker_url=broker.url) as mesh:
            async with edge_of(mesh.url) as edge:
                person = await edge.register()
                print(f"accept at 50/s by REST: {quantiles(await accept_at(mesh, person, 50, 20))}", flush=True)
                rates = await road.measure("127.0.0.1", mesh.port, person.token)
                for name, rate in rates.items():
                    print(f"{name.replace('_', ' ')} over RabbitMQ: {rate:.0f}", flush=True)
        floor = await message_floor.measure(broker.url)
        ratio = rates["answered_per_second"] / floor
        print(f"floor, PostgreSQL and RabbitMQ alone: {floor:.0f} a second; the house: {ratio:.2f} of it", flush=True)
        slow = {"inference_scripted_delay_ms": 1000, "conversations_answers_at_once": 2 * _WAITING + 2}
        with running_mesh(Path(folder) / "slow", broker_url=broker.url, **slow) as mesh:
            async with edge_of(mesh.url) as edge:
                person = await edge.register()
                print(f"cancel until the stream says so: {quantiles(await cancel_times(mesh, person))}", flush=True)
                print(f"waiting model calls: {await waiting_calls(mesh, person)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
