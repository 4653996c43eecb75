"""Real models behind the same road: SmolLM2 on this machine, and an OpenAI-compatible provider."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from services.inference.weights import find, read_lock
from tests.support.callers import Edge, Json, Person, edge_of, eventually
from tests.support.running_mesh import RunningMesh, running_mesh

SMOLLM2 = "smollm2-135m-instruct"
QUESTION = "What is the capital of France?"
SHORT = {"inference_max_output_tokens": 24, "inference_local_context_tokens": 1024}


def local_models(mesh: RunningMesh) -> list[psutil.Process]:
    """Return the processes of local models that this house has started."""
    family = mesh.launcher.children(recursive=True)
    return [process for process in family if process.cmdline()[:1] == ["parley: local model"]]


async def first_model(edge: Edge) -> Json:
    model: Json = (await edge.http.get("/api/v1/ai/models/status")).json()["models"][0]
    return model


async def is_ready(edge: Edge) -> bool:
    return bool((await first_model(edge))["state"] == "MODEL_STATE_READY")


async def ask(ada: Person, model: str) -> None:
    """Ask something and check that a real answer streams in."""
    conversation = await ada.open_conversation()
    events = await ada.hear(await ada.say(conversation, QUESTION))
    deltas = [event.delta for event in events if event.kind == "delta"]
    assert len(deltas) > 3
    assert events[-1].kind == "completed", events[-1]
    message = events[-1].data["message"]
    assert message["text"] == "".join(deltas).strip()
    assert (message["metadata"]["model"], message["metadata"]["finishReason"] in ("stop", "length")) == (model, True)
    assert message["metadata"]["inputTokens"] > 10
    assert message["metadata"]["outputTokens"] > 3


async def test_smollm2_answers_and_comes_back_after_it_was_killed(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("local")
    with running_mesh(home, inference_provider="local", **SHORT) as mesh:
        async with edge_of(mesh.url) as edge:
            ada = await edge.register()
            model = await first_model(edge)
            assert (model["id"], model["provider"], model["isDefault"]) == (SMOLLM2, "local", True)
            assert (model["state"], local_models(mesh)) == ("MODEL_STATE_AVAILABLE", [])
            await ask(ada, SMOLLM2)
            assert await is_ready(edge)
            (process,) = local_models(mesh)
            os.kill(process.pid, signal.SIGKILL)

            async def is_down() -> bool:
                return not await is_ready(edge)

            await eventually(is_down, seconds=10, what="a model that is not ready")
            await ask(ada, SMOLLM2)
            assert await is_ready(edge)
            (another,) = local_models(mesh)
            assert another.pid != process.pid
        # `running_mesh` sees to it that the model's process ends with the house.


async def test_an_openai_compatible_provider_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("openai")
    with running_provider("a key of the tests") as url:
        settings = SHORT | {
            "inference_provider": "openai",
            "inference_openai_base_url": f"{url}/v1",
            "inference_openai_api_key": "a key of the tests",
            "inference_openai_model": SMOLLM2,
        }
        with running_mesh(home, **settings) as mesh:
            async with edge_of(mesh.url) as edge:
                model = await first_model(edge)
                assert (model["id"], model["provider"], model["isDefault"]) == (SMOLLM2, "openai", True)
                await ask(await edge.register(), SMOLLM2)
                assert local_models(mesh) == []


@contextmanager
def running_provider(key: str) -> Iterator[str]:
    """Run a model server that has nothing to do with the house; yields its URL."""
    model = next(model for model in read_lock() if model.id == SMOLLM2)
    weights = find(model, Path("/nonexistent"))
    command = [sys.executable, "-m", "services.inference.llama_server", "--weights", str(weights)]
    command += ["--alias", SMOLLM2, "--context-tokens", "1024", "--parallel", "1", "--threads", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{key}\n")
        process.stdin.flush()
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)
