"""Server streams as lines and as server-sent events."""

import asyncio
from pathlib import Path

import httpx
import pytest

from adapters.rest.app import build_app
from adapters.rest.asgi import Message
from adapters.rest.settings import RestSettings
from tests.adapters.conftest import Face, running_adapter
from tests.adapters.trial import Trial

EVENTS = {"accept": "text/event-stream"}


async def test_lines(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/ticks?count=2")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.text == (
        '{"result":{"sequence":1,"tock":{"text":"\\u003c1\\u003e"}}}\n'
        '{"result":{"sequence":2,"tock":{"text":"\\u003c2\\u003e"}}}\n'
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "count=2",
            [
                {"result": {"sequence": 1, "tock": {"text": "<1>"}}},
                {"result": {"sequence": 2, "tock": {"text": "<2>"}}},
            ],
        ),
        ("", []),
        (
            "count=1&failCode=3",
            [
                {"result": {"sequence": 1, "tock": {"text": "<1>"}}},
                {"error": {"code": 3, "message": "error", "details": []}},
            ],
        ),
    ],
)
async def test_an_array(client: httpx.AsyncClient, query: str, expected: list[object]) -> None:
    answer = await client.get(f"/v1/ticks?{query}", headers={"accept": "application/json; stream=array"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == expected


async def test_problem_details(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/fail?code=5&message=why", headers={"accept": "application/problem+json"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "why",
        "code": 5,
        "details": [],
    }


async def test_an_error_after_lines(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/ticks?count=1&failCode=3")
    assert answer.status_code == 200
    assert answer.text.endswith('\n{"error":{"code":3,"message":"error","details":[]}}\n')


async def test_an_error_before_the_first_line(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/ticks?failCode=3")
    assert (answer.status_code, answer.text) == (400, '{"error":{"code":3,"message":"error","details":[]}}\n')


async def test_an_empty_stream(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/ticks")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-type" not in answer.headers


async def test_raw_bodies_are_lines(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/downloads")
    assert (answer.headers["content-type"], answer.content) == ("text/html", b"Hello 1\nHello 2\n")


async def test_events(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/ticks?count=1", headers=EVENTS)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text == 'id: 1\nevent: tock\ndata: {"sequence":1,"tock":{"text":"<1>"}}\n\n'


async def test_events_resume(client: httpx.AsyncClient) -> None:
    resumed = await client.get("/v1/ticks?count=1", headers={**EVENTS, "last-event-id": "7"})
    assert resumed.text.startswith("id: 8\n")
    asked = await client.get("/v1/ticks?count=1&after=3", headers={**EVENTS, "last-event-id": "7"})
    assert asked.text.startswith("id: 4\n")
    over = await client.get("/v1/ticks", headers={**EVENTS, "last-event-id": "7"})
    assert (over.status_code, over.content) == (204, b"")
    assert "content-length" not in over.headers


@pytest.mark.parametrize("given", ["x", "-1", "4294967296", "1" * 5000])
async def test_a_bad_last_event_id_is_named(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/v1/ticks?count=1", headers={**EVENTS, "last-event-id": given})
    assert answer.status_code == 400
    assert answer.json()["details"][0]["fieldViolations"][0]["field"] == "Last-Event-ID"


async def test_an_error_after_events(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/ticks?count=1&failCode=14", headers=EVENTS)
    assert answer.text.endswith('\n\nevent: error\ndata: {"code":14,"message":"error","details":[]}\n\n')


async def test_an_error_before_the_first_event(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/ticks?failCode=5", headers=EVENTS)
    assert (answer.status_code, answer.text) == (404, '{"code":5,"message":"error","details":[]}')


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_each_message_goes_out_at_once_and_leaving_cancels(face: Face, trial: Trial, accept: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
    writer.write(f"GET /v1/ticks?count=1&hang=true HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        await reader.readuntil(b'"sequence":1')
        await trial.waiting.wait()
        if accept == "text/event-stream":
            await reader.readuntil(b": alive\n\n")
            await reader.readuntil(b": alive\n\n")
    writer.close()
    await asyncio.wait_for(trial.cancelled.wait(), 1)


async def test_an_idle_event_stream_starts_by_itself(face: Face, trial: Trial) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
    writer.write(b"GET /v1/ticks?hang=true HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b": alive\n\n")
    assert head.startswith(b"HTTP/1.1 200")
    writer.close()
    await asyncio.wait_for(trial.cancelled.wait(), 1)


async def test_a_stream_that_cannot_be_sent_on_is_cancelled(trial_set: Path, upstream: str, trial: Trial) -> None:
    settings = RestSettings(upstream=upstream, descriptor_set=trial_set)
    app = build_app(settings)

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await trial.waiting.wait()
            raise OSError("the connection is gone")

    scope: dict[str, object] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/v1/ticks",
        "raw_path": b"/v1/ticks",
    }
    scope |= {"query_string": b"count=1&hang=true", "headers": [], "client": None, "server": None, "scheme": "http"}
    async with app.router.lifespan_context(app), asyncio.timeout(10):
        with pytest.raises(OSError, match=r"gone|broke off"):
            await app(scope, receive, send)
        await trial.cancelled.wait()


async def test_a_shutdown_ends_open_streams(trial_set: Path, upstream: str) -> None:
    settings = RestSettings(listen="127.0.0.1:0", upstream=upstream, descriptor_set=trial_set, drain_seconds=0)
    readers = []
    async with running_adapter(settings) as face:
        for accept in ("text/event-stream", "*/*"):
            reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
            writer.write(f"GET /v1/ticks?count=1&hang=true HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n".encode())
            await reader.readuntil(b'"sequence":1')
            readers.append((reader, writer))
    (events, _), (lines, _) = readers
    assert (await events.read()).endswith(b"}}\n\n\r\n0\r\n\r\n")
    assert b'{"error":{"code":14,"message":"the server is shutting down","details":[]}}' in await lines.read()
    for _, writer in readers:
        writer.close()
