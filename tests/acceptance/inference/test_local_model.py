"""The process of a local model: on demand, once, again when it died, and never beyond us."""

import asyncio
import dataclasses
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from services.inference.backends.llama_server_process import LlamaServerProcess
from services.inference.backends.llama_token_counter import LlamaTokenCounter
from services.inference.backends.openai_chat_model import OpenAIChatModel
from services.inference.backends.openai_connection import OpenAIConnection
from services.inference.errors import ContextLengthExceeded, ModelUnavailable
from services.inference.operations import Catalogue, Defaults, generate
from services.inference.ports import ServedModel
from services.inference.rules import Message, ModelState, Prompt, Question, Summary
from services.inference.weights import models_folder, read_lock
from tests.acceptance.inference.conftest import CONTEXT_TOKENS, small_model_process

_PROMPT = Prompt((Message("user", "Hello"),), 8, 0.0)
_LONG_PROMPT = Prompt((Message("user", "Count from 1 to 1000, one number a line."),), 900, 0.0)


async def test_it_starts_on_demand_once_and_ends_with_us(tmp_path: Path) -> None:
    process = small_model_process(tmp_path)
    assert process.condition().state is ModelState.AVAILABLE
    starts = [asyncio.create_task(process.endpoint()) for _ in range(5)]
    await asyncio.sleep(0)
    # One that gives up does not stop the start for the others.
    starts[0].cancel()
    assert process.condition().state is ModelState.LOADING
    endpoints = await asyncio.gather(*starts[1:])
    assert len(set(endpoints)) == 1
    assert process.condition().state is ModelState.READY
    assert process.pid is not None
    running = psutil.Process(process.pid)
    assert running.cmdline()[0] == "parley: local model"
    assert endpoints[0].api_key not in " ".join(running.cmdline()) + str(running.environ())
    assert (tmp_path / "logs" / "local-model.log").is_file()
    await process.close()
    assert not running.is_running()


async def test_it_ends_when_we_are_killed(tmp_path: Path) -> None:
    # A parent under uvloop, as `parley serve` is.
    program = (
        "import asyncio, sys, uvloop\n"
        "from pathlib import Path\n"
        "from tests.acceptance.inference.conftest import small_model_process\n"
        "async def main():\n"
        "    process = small_model_process(Path(sys.argv[1]))\n"
        "    await process.endpoint()\n"
        "    print(process.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "uvloop.run(main())\n"
    )
    path = os.pathsep.join(sys.path)
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(tmp_path)), stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": path}
    )
    assert parent.stdout is not None
    # The log line of the start goes to the same place.
    while not (line := (await parent.stdout.readline()).strip()).isdigit():
        assert line
    model = psutil.Process(int(line))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(model.wait, 5)


async def test_it_is_started_again_after_it_was_killed(
    local_process: LlamaServerProcess, local_model: OpenAIChatModel
) -> None:
    first = await local_process.endpoint()
    assert local_process.pid is not None
    os.kill(local_process.pid, signal.SIGKILL)
    await local_process.ended()
    assert local_process.condition().state is ModelState.AVAILABLE
    assert [part async for part in local_model.stream(_PROMPT)]
    assert await local_process.endpoint() != first


async def test_an_answer_in_progress_breaks_off_when_it_is_killed(
    local_process: LlamaServerProcess, local_model: OpenAIChatModel
) -> None:
    async with aclosing(local_model.stream(_LONG_PROMPT)) as parts:
        assert await anext(parts)
        assert local_process.pid is not None
        os.kill(local_process.pid, signal.SIGKILL)
        with pytest.raises(ModelUnavailable):
            await _drain(parts)
    await local_process.ended()


async def test_cancelling_stops_the_computing(local_process: LlamaServerProcess, local_model: OpenAIChatModel) -> None:
    async with aclosing(local_model.stream(_LONG_PROMPT)) as parts:
        assert await anext(parts)
    assert local_process.pid is not None
    running = psutil.Process(local_process.pid)
    async with asyncio.timeout(5):
        # The whole answer would keep a core busy for ten seconds and more.
        while await _cpu_share(running) > 0.2:
            pass


async def test_a_long_conversation_is_trimmed_by_the_models_own_count(
    local_process: LlamaServerProcess, local_connection: OpenAIConnection, local_model: OpenAIChatModel
) -> None:
    counter = LlamaTokenCounter("smollm2-135m-instruct", local_connection)
    served = ServedModel("smollm2", "local", CONTEXT_TOKENS, local_model, counter, local_process.condition)
    catalogue = Catalogue({"smollm2": served}, "smollm2")
    history = [Message("assistant" if index % 2 else "user", f"{index} blah blah " * 20) for index in range(40)]
    question = Question((Message("system", "Be brief."), *history, Message("user", "Hello <|im_end|>")))
    parts = [part async for part in generate(catalogue, Defaults(16, 0.0), question)]
    assert isinstance(parts[-1], Summary)
    # Much of the history was read, and no more than fits.
    assert CONTEXT_TOKENS * 0.5 < parts[-1].input_tokens <= CONTEXT_TOKENS - 16
    with pytest.raises(ContextLengthExceeded):
        await anext(generate(catalogue, Defaults(16, 0.0), Question((Message("user", "blah " * 2000),))))


async def test_a_message_is_counted_with_its_template(local_connection: OpenAIConnection) -> None:
    counter = LlamaTokenCounter("smollm2-135m-instruct", local_connection)
    assert await counter.count([]) == []
    texts = ["hello world", "", "Tôi thường uống cà phê"]
    counts = await counter.count([Message("user", text) for text in texts])
    assert counts == [10, 8, 8 + 17]


async def test_tampered_weights_are_refused(tmp_path: Path) -> None:
    locked = dataclasses.replace(read_lock()[0], bytes=8)
    models_folder(tmp_path).mkdir()
    (models_folder(tmp_path) / locked.file).write_bytes(b"tampered")
    small = small_model_process(tmp_path)
    process = LlamaServerProcess(locked, tmp_path, small._options, ())
    with pytest.raises(ModelUnavailable, match="another sha256"):
        await process.endpoint()
    assert process.condition().state is ModelState.FAILED


async def test_weights_that_are_no_model_are_unavailable_and_the_log_is_named(tmp_path: Path) -> None:
    content = b"no model"
    locked = dataclasses.replace(read_lock()[0], bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    models_folder(tmp_path).mkdir()
    (models_folder(tmp_path) / locked.file).write_bytes(content)
    process = LlamaServerProcess(locked, tmp_path, small_model_process(tmp_path)._options, ())
    with pytest.raises(ModelUnavailable, match=r"local-model\.log"):
        await process.endpoint()
    await process.close()


async def test_an_old_cpu_is_told_before_anything_starts(tmp_path: Path) -> None:
    process = LlamaServerProcess(read_lock()[-1], tmp_path, small_model_process(tmp_path)._options, ("AVX2", "FMA"))
    with pytest.raises(ModelUnavailable, match="AVX2, FMA"):
        await process.endpoint()
    assert process.condition().state is ModelState.FAILED
    assert "AVX2, FMA" in process.condition().detail


async def _drain(parts: AsyncIterator[object]) -> None:
    async for _ in parts:
        pass


async def _cpu_share(process: psutil.Process) -> float:
    before = process.cpu_times()
    await asyncio.sleep(0.2)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / 0.2
