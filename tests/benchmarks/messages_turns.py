"""One tenant's ten thousand messages beside another's single ones: `python -m tests.benchmarks.messages_turns`.

Prints, asserts nothing; `tests/faults/test_turns.py` holds the order.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
from parley.conversations.v1.conversation_service_pb2 import CreateConversationRequest, GetConversationRequest
from parley.conversations.v1.conversation_service_pb2_grpc import ConversationServiceStub
from parley.conversations.v1.message_service_pb2 import SendMessageRequest
from parley.conversations.v1.message_service_pb2_grpc import MessageServiceStub
from parley.conversations.v1.run_pb2 import Run
from parley.conversations.v1.run_service_pb2 import GetRunRequest
from parley.conversations.v1.run_service_pb2_grpc import RunServiceStub

from tests.benchmarks.messages import quantiles
from tests.support.brokers import running_rabbitmq
from tests.support.callers import Person, edge_of
from tests.support.running_mesh import RunningMesh, running_mesh

_CONVERSATIONS = 500
_MESSAGES = 20
_FLOOD = _CONVERSATIONS * _MESSAGES
_SENDERS = 16
_ALONE = 50
_PAUSE_SECONDS = 0.5


async def _open(channel: grpc.aio.Channel, person: Person) -> str:
    made = await ConversationServiceStub(channel).CreateConversation(
        CreateConversationRequest(), metadata=person.metadata
    )
    return str(made.conversation.id)


async def _say(channel: grpc.aio.Channel, person: Person, conversation_id: str) -> Run:
    request = SendMessageRequest(conversation_id=conversation_id, text="hi there")
    return (await MessageServiceStub(channel).SendMessage(request, metadata=person.metadata)).run


async def _flood(channel: grpc.aio.Channel, person: Person) -> None:
    """Send everything, and return once all of it is answered."""
    slots = asyncio.Semaphore(_SENDERS)

    async def talk() -> str:
        async with slots:
            conversation_id = await _open(channel, person)
            for _ in range(_MESSAGES):
                await _say(channel, person, conversation_id)
            return conversation_id

    for conversation_id in await asyncio.gather(*[talk() for _ in range(_CONVERSATIONS)]):
        get = GetConversationRequest(conversation_id=conversation_id)
        while True:
            found = await ConversationServiceStub(channel).GetConversation(get, metadata=person.metadata)
            if found.conversation.message_count == 2 * _MESSAGES:
                break
            await asyncio.sleep(0.2)


async def _single(channel: grpc.aio.Channel, person: Person) -> Run:
    """Say one thing in a new conversation and return the run once it has ended."""
    sent = await _say(channel, person, await _open(channel, person))
    get = GetRunRequest(conversation_id=sent.conversation_id, run_id=sent.id)
    while not (run := (await RunServiceStub(channel).GetRun(get, metadata=person.metadata)).run).HasField("end_time"):
        await asyncio.sleep(0.02)
    return run


def _print(what: str, runs: list[Run]) -> None:
    created = [run.create_time.ToMilliseconds() for run in runs]
    taken_up = [(run.start_time.ToMilliseconds() - at) / 1000 for run, at in zip(runs, created, strict=True)]
    answered = [(run.end_time.ToMilliseconds() - at) / 1000 for run, at in zip(runs, created, strict=True)]
    print(f"a single message {what}: taken up {quantiles(taken_up)}, answered {quantiles(answered)}", flush=True)


async def turns(mesh: RunningMesh) -> None:
    """Let one person say one thing after the other: alone, then while another one's flood is sent and answered."""
    # A channel each: the edge lets a connection have a hundred calls at once.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with (
        edge_of(mesh.url) as edge,
        grpc.aio.insecure_channel(mesh.address, options=options) as theirs,
        grpc.aio.insecure_channel(mesh.address, options=options) as ours,
    ):
        busy, single = await edge.register(), await edge.register()
        _print("alone", [await _single(ours, single) for _ in range(_ALONE)])
        flood = asyncio.create_task(_flood(theirs, busy))
        runs = []
        while not flood.done():
            runs.append(await _single(ours, single))
            await asyncio.sleep(_PAUSE_SECONDS)
        await flood
        _print(f"beside {_FLOOD} of another tenant", runs)


async def main() -> None:
    """Measure once and print it."""
    with (
        TemporaryDirectory() as folder,
        running_rabbitmq(Path(folder) / "broker") as broker,
        running_mesh(Path(folder) / "house", broker_url=broker.url, inference_scripted_delay_ms=20) as mesh,
    ):
        await turns(mesh)


if __name__ == "__main__":
    asyncio.run(main())
