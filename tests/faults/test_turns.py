"""One tenant has sent hundreds of messages; another one's single message is the next that is taken up."""

import asyncio
from pathlib import Path

import grpc
import pytest
from parley.conversations.v1.conversation_service_pb2 import CreateConversationRequest
from parley.conversations.v1.conversation_service_pb2_grpc import ConversationServiceStub
from parley.conversations.v1.message_service_pb2 import SendMessageRequest
from parley.conversations.v1.message_service_pb2_grpc import MessageServiceStub
from parley.conversations.v1.run_pb2 import Run
from parley.conversations.v1.run_service_pb2 import GetRunRequest
from parley.conversations.v1.run_service_pb2_grpc import RunServiceStub

from tests.support.callers import Person, edge_of, eventually
from tests.support.running_mesh import running_mesh

_FLOOD = 500
_SLOTS = 20
# No answer ends while the test runs: what is taken up, is so by turns and not because the others were quick.
_WORD_MS = 60_000


@pytest.mark.timeout(300)
async def test_a_single_message_is_taken_up_before_hundreds_of_another_tenant(tmp_path: Path) -> None:
    settings = {"conversations_answers_at_once": _SLOTS, "inference_scripted_delay_ms": _WORD_MS}
    with running_mesh(tmp_path, **settings) as mesh:
        async with edge_of(mesh.url) as edge, grpc.aio.insecure_channel(mesh.address) as channel:
            busy, single = await edge.register(), await edge.register()
            slots = asyncio.Semaphore(32)

            async def say(person: Person) -> Run:
                async with slots:
                    made = await ConversationServiceStub(channel).CreateConversation(
                        CreateConversationRequest(), metadata=person.metadata
                    )
                    request = SendMessageRequest(conversation_id=made.conversation.id, text="one two three four")
                    return (await MessageServiceStub(channel).SendMessage(request, metadata=person.metadata)).run

            async def begun(person: Person, run: Run) -> bool:
                async with slots:
                    request = GetRunRequest(conversation_id=run.conversation_id, run_id=run.id)
                    found = await RunServiceStub(channel).GetRun(request, metadata=person.metadata)
                    return found.run.HasField("start_time")

            async def how_many() -> int:
                return sum(await asyncio.gather(*[begun(busy, run) for run in flood]))

            async def all_theirs() -> bool:
                return await how_many() >= _SLOTS // 2

            flood = await asyncio.gather(*[say(busy) for _ in range(_FLOOD)])
            await eventually(all_theirs, seconds=60, what="as many answers as a tenant may have at once")
            late = await say(single)
            await eventually(lambda: begun(single, late), seconds=60, what="the answer to the single message")
            # It came as the last of all and began as the next: all the others still wait.
            assert await how_many() == _SLOTS // 2
