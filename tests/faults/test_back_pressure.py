"""The broker or the database is away: what can be accepted is, and the rest is told when to come again."""

from pathlib import Path
from uuid import uuid4

import grpc
import psutil
import pytest
from google.rpc import error_details_pb2, status_pb2
from parley.conversations.v1.message_service_pb2 import SendMessageRequest
from parley.conversations.v1.message_service_pb2_grpc import MessageServiceStub

from tests.faults.checker import check
from tests.faults.history import read
from tests.faults.storm import Plan, Storm, storm

_MOST_GROWTH_BYTES = 64 * 1024 * 1024


@pytest.mark.timeout(400)
async def test_messages_are_accepted_while_the_broker_is_away_and_answered_when_it_is_back(tmp_path: Path) -> None:
    plan = Plan(conversations=50, messages=20, pace=0.05)
    async with storm(tmp_path, plan) as running:
        services = psutil.Process(running.mesh.pid("services"))
        await running.broker.settled()
        running.broker.kill()
        before = services.memory_info().rss
        await running.send_all()
        assert running.refusals == 0
        assert services.memory_info().rss - before < _MOST_GROWTH_BYTES
        running.broker.start()
        # Nobody does anything: the relay finds the broker again by itself.
        await running.wait_for_answers()
        await running.record()
    verdict = check(read(tmp_path / "history.jsonl"))
    assert verdict.accepted == 1000
    assert verdict.holds, verdict


@pytest.mark.timeout(400)
async def test_a_database_that_hangs_is_told_of_and_found_again(tmp_path: Path) -> None:
    async with storm(tmp_path, Plan(conversations=5, messages=2, pace=0)) as running:
        conversation = await running.open(0)
        send = SendMessageRequest(conversation_id=conversation, text="hi", request_id=str(uuid4()))
        postgres = psutil.Process(running.mesh.pid("postgres"))
        hung = [postgres, *postgres.children(recursive=True)]
        for process in hung:
            process.suspend()
        try:
            code, reason, retry_seconds = await _refusal(running, send)
        finally:
            for process in hung:
                process.resume()
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert retry_seconds > 0
        # The same request again, and a few more: all of it is answered.
        await running.send(0, conversation, "hi", send.request_id)
        await running.send_all()
        await running.wait_for_answers()
        await running.record()
    assert check(read(tmp_path / "history.jsonl")).holds


async def _refusal(running: Storm, request: SendMessageRequest) -> tuple[grpc.StatusCode, str, float]:
    """Return code, reason and RetryInfo with which a message is refused."""
    stub = MessageServiceStub(running.channels[0])
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.SendMessage(request, metadata=running.metadata, timeout=30)
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for key, value in raised.value.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                detail.Unpack(info)
                detail.Unpack(retry)
    return raised.value.code(), info.reason, retry.retry_delay.ToMilliseconds() / 1000
