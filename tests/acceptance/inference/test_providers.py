"""What the OpenAI-compatible backend makes of providers that fail, dawdle or differ."""

import asyncio
import gzip
import resource
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import structlog

from services.chassis.secret_stores.environment import EnvironmentSecrets
from services.chassis.secrets import SecretStore
from services.inference.backends.llama_server_process import LlamaServerProcess
from services.inference.backends.openai_chat_model import OpenAIChatModel, Patience
from services.inference.backends.openai_connection import Endpoint, OpenAIConnection
from services.inference.errors import ModelRefused, ModelUnavailable
from services.inference.rules import Message, Prompt, Summary
from services.inference.settings import InferenceSettings
from services.inference.wiring import provider_connection
from tests.acceptance.inference.conftest import PATIENCE
from tests.support.model_server import Answer, Request, chunk, providing, refusing, streaming
from tests.support.model_server.answers import document
from tests.support.stores import free_port

_PROMPT = Prompt((Message("user", "Hello"),), 100, 0.5)
_KEY = "sk-a-secret"


@asynccontextmanager
async def _model(base_url: str, patience: Patience = PATIENCE) -> AsyncIterator[OpenAIChatModel]:
    async def find_endpoint() -> Endpoint:
        return Endpoint(base_url, _KEY)

    connection = OpenAIConnection(find_endpoint)
    yield OpenAIChatModel("some-model", "some-model", connection, patience)
    await connection.close()


async def _ask(answer: Answer, patience: Patience = PATIENCE) -> list[object]:
    async with providing(answer) as provider, _model(provider.base_url, patience) as model:
        return [part async for part in model.stream(_PROMPT)]


async def test_a_wrong_key_is_refused(local_process: LlamaServerProcess) -> None:
    endpoint = await local_process.endpoint()
    async with _model(endpoint.base_url) as model:
        with pytest.raises(ModelRefused) as failure:
            await anext(model.stream(_PROMPT))
    assert failure.value.fields == {"model": "some-model", "status": "401"}


async def test_a_key_that_was_changed_is_used_without_a_restart(
    local_process: LlamaServerProcess, tmp_path: Path
) -> None:
    endpoint = await local_process.endpoint()
    kept = tmp_path / ".env"
    kept.write_text(f"PARLEY_INFERENCE_OPENAI_API_KEY={_KEY}\n")
    # Nobody reads the file again by the clock: what sees the change is the refusal.
    store = SecretStore(EnvironmentSecrets(kept), every_seconds=3600)
    connection = provider_connection(InferenceSettings(openai_base_url=endpoint.base_url), store)
    model = OpenAIChatModel("some-model", "some-model", connection, PATIENCE)
    with pytest.raises(ModelRefused):
        await anext(model.stream(_PROMPT))
    kept.write_text(f"PARLEY_INFERENCE_OPENAI_API_KEY={endpoint.api_key}\n")
    assert [part async for part in model.stream(_PROMPT)]
    await connection.close()


async def test_a_dead_server_is_unavailable() -> None:
    async with _model(f"http://127.0.0.1:{free_port()}/v1") as model:
        with pytest.raises(ModelUnavailable, match="the connection failed"):
            await anext(model.stream(_PROMPT))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_cannot_get_better_is_refused_and_asked_once(status: int) -> None:
    async with (
        providing(refusing(status, f"wrong key {_KEY}")) as provider,
        _model(provider.base_url) as model,
    ):
        with structlog.testing.capture_logs() as logged, pytest.raises(ModelRefused) as failure:
            await anext(model.stream(_PROMPT))
        assert provider.requests == 1
    assert failure.value.fields["status"] == str(status)
    assert _KEY not in f"{failure.value!r} {logged}"
    assert failure.value.__suppress_context__


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_get_better_is_unavailable_and_asked_once(status: int) -> None:
    """Whoever asks tries again: tries of the SDK would multiply that, and each may be paid."""
    async with (
        providing(refusing(status, f"overloaded {_KEY}")) as provider,
        _model(provider.base_url) as model,
    ):
        with structlog.testing.capture_logs() as logged, pytest.raises(ModelUnavailable, match=str(status)) as failure:
            await anext(model.stream(_PROMPT))
        assert provider.requests == 1
    assert _KEY not in f"{failure.value!r} {logged}"


@pytest.mark.parametrize(
    ("status", "header"),
    [(400, "x-should-retry: true"), (302, "location: /v1/chat/completions"), (307, "location: /v1/chat/completions")],
)
async def test_a_provider_cannot_make_us_ask_again(status: int, header: str) -> None:
    async with providing(document("{}", status, headers=header)) as provider, _model(provider.base_url) as model:
        with pytest.raises(ModelRefused, match=str(status)):
            await anext(model.stream(_PROMPT))
        assert provider.requests == 1


@pytest.mark.parametrize("status", [300, 400, 500])
async def test_of_a_refusal_only_the_beginning_is_read(status: int) -> None:
    """It would never end; and it names a codec that needs minutes for it."""

    async def endless(_: Request, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} No\r\ncontent-type: application/json; charset=punycode\r\nconnection: close\r\n\r\n"
        writer.write(head.encode())
        while True:
            writer.write(b"a-" + b"z" * 10_000)
            await writer.drain()

    async with providing(endless) as provider, _model(provider.base_url) as model, asyncio.timeout(20):
        with pytest.raises((ModelRefused, ModelUnavailable), match=str(status)):
            await anext(model.stream(_PROMPT))
        await provider.listener_left.wait()


def _compressed(times: int, status: int, body: bytes) -> Answer:
    for _ in range(times):
        body = gzip.compress(body, 1)

    async def answer(_: Request, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} Said\r\ncontent-encoding: {', '.join(['gzip'] * times)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


async def test_a_compressed_answer_is_read() -> None:
    said = f"data: {chunk('Hi', 'stop')}\n\ndata: [DONE]\n\n".encode()
    assert (await _ask(_compressed(1, 200, said)))[0] == "Hi"


@pytest.mark.parametrize(("times", "status"), [(1, 200), (1, 400), (1, 500), (2, 200), (2, 400)])
async def test_what_becomes_large_when_it_is_decompressed_is_not_read_whole(times: int, status: int) -> None:
    answer = _compressed(times, status, bytes(200_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((ModelRefused, ModelUnavailable)):
        await _ask(answer)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


async def test_a_provider_without_usage_works() -> None:
    parts = await _ask(streaming(chunk("Hi"), chunk(" you", "stop"), "[DONE]"))
    assert parts == ["Hi", " you", Summary("some-model", "stop", 0, 0)]


async def test_a_cut_answer_says_so() -> None:
    assert (await _ask(streaming(chunk("Hi", "length"), "[DONE]")))[-1] == Summary("some-model", "length", 0, 0)


@pytest.mark.parametrize(
    "last", [None, '{"error": {"message": "sk-a-secret ran out"}}', "{not json"], ids=["end", "error", "garbage"]
)
async def test_an_answer_that_breaks_off_is_unavailable(last: str | None) -> None:
    with pytest.raises(ModelUnavailable) as failure:
        await _ask(streaming(chunk("Hi"), *([last] if last else [])))
    assert _KEY not in str(failure.value)


@pytest.mark.parametrize(
    ("said", "patience"), [((), Patience(0.3, 60)), ((chunk("Hi"),), Patience(60, 0.3))], ids=["at once", "half-way"]
)
async def test_a_provider_that_falls_silent_is_unavailable(said: tuple[str, ...], patience: Patience) -> None:
    with pytest.raises(ModelUnavailable, match="too long"):
        await _ask(streaming(*said, then_hangs=True), patience)


async def test_closing_an_answer_hangs_up_on_the_provider_at_once() -> None:
    async with (
        providing(streaming(chunk("Hi"), then_hangs=True)) as provider,
        _model(provider.base_url) as model,
    ):
        async with aclosing(model.stream(_PROMPT)) as parts:
            assert await anext(parts) == "Hi"
        # The provider hangs for ever: whoever waited for it would never get here.
        async with asyncio.timeout(10):
            await provider.listener_left.wait()


async def test_cancelling_before_the_answer_begins_hangs_up_too() -> None:
    async with (
        providing(streaming(then_hangs=True)) as provider,
        _model(provider.base_url) as model,
    ):
        asking = asyncio.create_task(anext(model.stream(_PROMPT)))
        async with asyncio.timeout(30):
            await provider.asked.wait()
            asking.cancel()
            await provider.listener_left.wait()
