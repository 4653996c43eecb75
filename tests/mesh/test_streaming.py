"""An answer is read while it is made, by any reader, from any place, with the same numbers."""

import asyncio
import json
import time

import pytest
from parley.conversations.v1 import run_service_pb2, run_service_pb2_grpc

from tests.support.callers import Edge, Event, Person, refusal

WORDS = " ".join(f"word{number}" for number in range(30))


@pytest.fixture
async def run(ada: Person) -> str:
    """A run that has ended."""
    run = await ada.say(await ada.open_conversation(), "one two three")
    await ada.hear(run)
    return run


@pytest.mark.parametrize("sse", [False, True])
async def test_an_answer_arrives_bit_by_bit(ada: Person, sse: bool) -> None:
    run = await ada.say(await ada.open_conversation(), WORDS)
    arrivals: list[float] = []
    events: list[Event] = []
    async with ada.listening(run, sse=sse) as stream:
        async for event in stream:
            if not events:
                assert (await ada.get(run))["state"] == "RUN_STATE_RUNNING"
            arrivals.append(time.monotonic())
            events.append(event)
    assert [event.kind for event in events] == ["started", *["delta"] * 32, "completed"]
    assert [event.sequence for event in events] == list(range(1, 35))
    assert "".join(event.delta for event in events) == f"You said: {WORDS}" == events[-1].data["message"]["text"]
    # 32 words, 20 ms each: not in one heap at the end.
    assert arrivals[-1] - arrivals[1] > 0.4
    assert len({round(arrival, 2) for arrival in arrivals}) > 10


async def test_lines_are_grpc_gateways(ada: Person, run: str) -> None:
    response = await ada.ask("GET", f"{run}:stream")
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert all(set(line) == {"result"} for line in lines)
    assert [line["result"]["sequence"] for line in lines] == list(range(1, len(lines) + 1))


async def test_events_are_server_sent_events(ada: Person, run: str) -> None:
    response = await ada.ask("GET", f"{run}:stream", headers={"accept": "text/event-stream"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in response.headers["cache-control"]
    blocks = [block.splitlines() for block in response.text.strip().split("\n\n")]
    assert [block[0] for block in blocks] == [f"id: {number}" for number in range(1, len(blocks) + 1)]
    assert blocks[0][1] == "event: started"
    assert blocks[1][1] == "event: delta"
    assert blocks[-1][1] == "event: completed"


@pytest.mark.parametrize("sse", [False, True])
async def test_a_reader_goes_on_after_what_it_has(ada: Person, run: str, sse: bool) -> None:
    events = await ada.hear(run, sse=sse)
    for after in (0, 1, 3, len(events) - 1):
        assert await ada.hear(run, sse=sse, params={"after": str(after)}) == events[after:]
        assert await ada.hear(run, sse=True, headers={"last-event-id": str(after)}) == events[after:]
    # What the query says goes over the header.
    assert await ada.hear(run, sse=True, params={"after": "4"}, headers={"last-event-id": "1"}) == events[4:]


async def test_a_reader_comes_back_in_the_middle_of_the_answer(ada: Person) -> None:
    run = await ada.say(await ada.open_conversation(), WORDS)
    had: list[Event] = []
    async with ada.listening(run, sse=True) as events:
        async for event in events:
            had.append(event)
            if len(had) == 6:
                break
    had += await ada.hear(run, sse=True, headers={"last-event-id": str(had[-1].sequence)})
    assert [event.sequence for event in had] == list(range(1, 35))
    assert "".join(event.delta for event in had) == f"You said: {WORDS}"


async def test_readers_over_every_road_get_the_same_events(ada: Person, edge: Edge) -> None:
    run = await ada.say(await ada.open_conversation(), WORDS)
    _, _, _, _, _, conversation_id, _, run_id = run.split("/")
    request = run_service_pb2.StreamRunRequest(conversation_id=conversation_id, run_id=run_id)

    async def by_grpc() -> list[tuple[int, str]]:
        call = run_service_pb2_grpc.RunServiceStub(edge.channel).StreamRun(request, metadata=ada.metadata)
        return [(event.sequence, event.delta.text) async for event in call]

    lines, events, messages = await asyncio.gather(ada.hear(run), ada.hear(run, sse=True), by_grpc())
    late = await ada.hear(run)
    assert lines == events == late
    assert messages == [(event.sequence, event.delta) for event in lines]


async def test_an_empty_after_and_a_wrong_one(ada: Person, run: str) -> None:
    response = await ada.ask("GET", f"{run}:stream", params={"after": "some"})
    refusal(response, 400, 3, field="after")
    response = await ada.ask("GET", f"{run}:stream", params={"after": "-1"})
    refusal(response, 400, 3, field="after")


async def test_an_unknown_run_is_an_ordinary_error(ada: Person, run: str) -> None:
    unknown = run.rpartition("/")[0] + "/0198b6d4-0000-7000-8000-000000000000"
    response = await ada.ask("GET", f"{unknown}:stream", headers={"accept": "text/event-stream"})
    body = refusal(response, 404, 5, field="run_id", reason="RUN_NOT_FOUND")
    # As lines it looks like every error of a stream, as grpc-gateway does it, under the same status.
    response = await ada.ask("GET", f"{unknown}:stream")
    assert (response.status_code, response.json()) == (404, {"error": body})
    for method, path in (("GET", unknown), ("POST", f"{unknown}:cancel")):
        refusal(await ada.ask(method, path), 404, 5, field="run_id", reason="RUN_NOT_FOUND")
