"""The broker and the database are killed in the middle of answers: what was accepted is answered, once."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.callers import Person, edge_of, eventually
from tests.support.running_mesh import RunningMesh, running_mesh

CONVERSATIONS = 30
QUESTION = "one two three four five six seven eight"
PATIENCE_SECONDS = 90


@pytest.mark.parametrize("store", ["valkey", "postgres"])
async def test_killing_a_store_in_the_middle_of_answers_loses_and_doubles_nothing(store: str, tmp_path: Path) -> None:
    with running_mesh(tmp_path, inference_scripted_delay_ms=200) as mesh:
        async with edge_of(mesh.url) as edge:
            person = await edge.register()
            runs = []
            for _ in range(CONVERSATIONS):
                conversation = await person.open_conversation()
                runs.append((conversation, await person.say(conversation, QUESTION)))
            await eventually(lambda: _speaking(person, runs[-1][1]), seconds=30, what="the last run's start")
            _kill(mesh, store)
            for conversation, run in runs:
                await eventually(
                    lambda run=run: _succeeded(person, run),  # type: ignore[misc]
                    seconds=PATIENCE_SECONDS,
                    what=f"the end of {run}",
                )
                messages = (await person.get(f"{conversation}/messages"))["messages"]
                assert [message["text"] for message in messages] == [QUESTION, f"You said: {QUESTION}"]
                # A reader who comes now still finds the end, even when the event store has forgotten the rest.
                last = (await person.hear(run))[-1]
                assert last.kind == "completed"
                assert last.data["message"]["text"] == f"You said: {QUESTION}"


def _kill(mesh: RunningMesh, part: str) -> None:
    os.kill(mesh.pid(part), signal.SIGKILL)


async def _speaking(person: Person, run: str) -> bool:
    return bool((await person.get(run))["startTime"])


async def _succeeded(person: Person, run: str) -> bool:
    answer = await person.ask("GET", run)
    # While the store is away, an error is the right answer.
    return answer.status_code == 200 and answer.json()["state"] == "RUN_STATE_SUCCEEDED"
