"""One trace ties what a request causes: in the services, through the outbox, in the worker, and in what that calls."""

import asyncio
import json

import pytest

from tests.support.callers import Person
from tests.support.running_mesh import RunningMesh

_GIVEN = "0af7651916cd43dd8448eb211c80319c"


def _lines(mesh: RunningMesh, part: str, trace_id: str) -> list[dict[str, object]]:
    """Return what a part logged in a trace."""
    return [json.loads(line) for line in mesh.log(part).splitlines() if trace_id in line and line.startswith("{")]


@pytest.mark.parametrize("given", [True, False])
async def test_a_message_and_its_answer_have_the_trace_of_the_request(
    mesh: RunningMesh, ada: Person, given: bool
) -> None:
    conversation = await ada.open_conversation()
    headers = {"traceparent": f"00-{_GIVEN}-b7ad6b7169203331-01"} if given else {}
    path = f"{conversation}/messages"
    sent = await ada.ask("POST", path, json={"text": "hello"}, headers=headers)
    assert sent.status_code == 200, sent.text
    trace_id = _GIVEN if given else sent.headers["x-request-id"].replace("-", "")
    async with asyncio.timeout(60):
        while not any(line["event"] == "run ended" for line in _lines(mesh, "worker", trace_id)):
            await asyncio.sleep(0.1)
        asked = "/parley.inference.v1.GenerationService/Generate"
        while asked not in {line.get("method") for line in _lines(mesh, "services", trace_id)}:
            await asyncio.sleep(0.1)
    served = _lines(mesh, "services", trace_id)
    assert {line["trace_id"] for line in served} == {trace_id}
    assert "/parley.conversations.v1.MessageService/SendMessage" in {line.get("method") for line in served}
