"""The worker is killed in the middle of answers: nothing is lost, nothing is said twice, nothing is out of order."""

import asyncio
import os
import signal
from pathlib import Path

import grpc
from parley.conversations.v1.conversation_service_pb2 import CreateConversationRequest
from parley.conversations.v1.conversation_service_pb2_grpc import ConversationServiceStub
from parley.conversations.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest
from parley.conversations.v1.message_service_pb2_grpc import MessageServiceStub
from parley.conversations.v1.run_pb2 import RUN_STATE_SUCCEEDED, Run
from parley.conversations.v1.run_service_pb2 import GetRunRequest, StreamRunRequest, StreamRunResponse
from parley.conversations.v1.run_service_pb2_grpc import RunServiceStub

from tests.support.callers import edge_of, eventually
from tests.support.running_mesh import RunningMesh, running_mesh

CONVERSATIONS = 200
KILLS = 3
CHANNELS = 4  # Envoy lets each client have a hundred streams on one connection
QUESTION = "one two three four five six seven eight nine ten eleven twelve"
ANSWER = f"You said: {QUESTION}"


async def test_killing_the_worker_in_the_middle_of_two_hundred_answers_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    with running_mesh(tmp_path, inference_scripted_delay_ms=150) as mesh:
        async with edge_of(mesh.url) as edge:
            metadata = (await edge.register()).metadata
        channels = [
            grpc.aio.insecure_channel(mesh.address, options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(CHANNELS)
        ]
        try:
            runs = await _send_all(channels, metadata)
            readers = [
                asyncio.create_task(_follow(channels[number % CHANNELS], metadata, run))
                for number, run in enumerate(runs)
            ]
            for _ in range(KILLS):
                await _kill_while_speaking(mesh, channels[0], metadata, runs)
            streams = await asyncio.gather(*readers)
            for number, (run, events) in enumerate(zip(runs, streams, strict=True)):
                _check_events(events)
                await _check_stored(channels[number % CHANNELS], metadata, run)
            restarted = sum(any(event.WhichOneof("event") == "restarted" for event in events) for events in streams)
            assert restarted > 0, "no answer was hit by a kill: the test has shown nothing"
        finally:
            for channel in channels:
                await channel.close()


Metadata = tuple[tuple[str, str], ...]


async def _send_all(channels: list[grpc.aio.Channel], metadata: Metadata) -> list[Run]:
    async def send(number: int) -> Run:
        channel = channels[number % CHANNELS]
        made = await ConversationServiceStub(channel).CreateConversation(
            CreateConversationRequest(), metadata=metadata, timeout=60
        )
        sent = await MessageServiceStub(channel).SendMessage(
            SendMessageRequest(conversation_id=made.conversation.id, text=QUESTION), metadata=metadata, timeout=60
        )
        return sent.run

    return list(await asyncio.gather(*[send(number) for number in range(CONVERSATIONS)]))


async def _follow(channel: grpc.aio.Channel, metadata: Metadata, run: Run) -> list[StreamRunResponse]:
    request = StreamRunRequest(conversation_id=run.conversation_id, run_id=run.id)
    return [event async for event in RunServiceStub(channel).StreamRun(request, metadata=metadata, timeout=240)]


async def _kill_while_speaking(
    mesh: RunningMesh, channel: grpc.aio.Channel, metadata: Metadata, runs: list[Run]
) -> None:
    """Kill the worker once it says something new in a run that has not ended, and wait for the next worker."""
    stub = RunServiceStub(channel)

    async def speaking() -> bool:
        for run in runs[:: CONVERSATIONS // 10]:
            request = GetRunRequest(conversation_id=run.conversation_id, run_id=run.id)
            state = (await stub.GetRun(request, metadata=metadata, timeout=30)).run
            if state.HasField("start_time") and not state.HasField("end_time"):
                return True
        return False

    await eventually(speaking, seconds=60, what="a run in the middle of its answer")
    killed = mesh.pid("worker")
    os.kill(killed, signal.SIGKILL)

    async def another() -> bool:
        return mesh.pid("worker") != killed

    await eventually(another, seconds=60, what="another worker")


def _check_events(events: list[StreamRunResponse]) -> None:
    assert [event.sequence for event in events] == list(range(1, len(events) + 1)), "numbers without gap or repetition"
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds.count("completed") == 1
    assert kinds[-1] == "completed"
    last_start = max(number for number, kind in enumerate(kinds) if kind in ("started", "restarted"))
    assert "".join(event.delta.text for event in events[last_start:]) == ANSWER
    assert events[-1].completed.message.text == ANSWER


async def _check_stored(channel: grpc.aio.Channel, metadata: Metadata, run: Run) -> None:
    messages = await MessageServiceStub(channel).ListMessages(
        ListMessagesRequest(conversation_id=run.conversation_id), metadata=metadata, timeout=30
    )
    assert [(message.role, message.text) for message in messages.messages] == [
        ("user", QUESTION),
        ("assistant", ANSWER),
    ]
    stored = await RunServiceStub(channel).GetRun(
        GetRunRequest(conversation_id=run.conversation_id, run_id=run.id), metadata=metadata, timeout=30
    )
    assert stored.run.state == RUN_STATE_SUCCEEDED
