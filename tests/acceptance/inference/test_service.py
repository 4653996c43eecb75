"""The capability as it is wired, over real gRPC."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from parley.inference.v1 import (
    generation_service_pb2,
    generation_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from pydantic import SecretStr

from services.chassis import metrics
from services.chassis.channels import open_channel
from services.chassis.resources import open_resources
from services.chassis.serving import build_server
from services.chassis.settings import ChassisSettings
from services.chassis.tokens import ServiceTokens
from services.inference.errors import ModelNotFound
from services.inference.wiring import assemble
from tests.support.model_server import chunk, providing, streaming
from tests.support.scrapes import scraped
from tests.support.stores import free_port

_SECRET = "0123456789abcdef0123456789abcdef"


@asynccontextmanager
async def _served(home: Path) -> AsyncIterator[grpc.aio.Channel]:
    """Serve inference with the settings of the environment and yield a channel of another service of ours."""
    async with open_resources(ChassisSettings(home=home, secret=SecretStr(_SECRET)), "tests") as resources:
        module = await assemble(resources)
        server, _, _ = build_server([module], resources)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with open_channel(f"127.0.0.1:{port}", ServiceTokens(_SECRET, "conversations")) as channel:
            yield channel
        await server.stop(1)
        await module.close()


def _request(text: str, model: str = "", max_output_tokens: int = 0) -> generation_service_pb2.GenerateRequest:
    message = generation_service_pb2.PromptMessage(role="user", text=text)
    return generation_service_pb2.GenerateRequest(messages=[message], model=model, max_output_tokens=max_output_tokens)


def _reason(error: grpc.aio.AioRpcError) -> str:
    (status,) = (value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin")
    info = error_details_pb2.ErrorInfo()
    status_pb2.Status.FromString(status).details[0].Unpack(info)
    assert info.domain == "inference.parley"
    return str(info.reason)


async def test_the_script_answers_and_its_summary_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_INFERENCE_PROVIDER", "scripted")
    async with _served(tmp_path) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        responses = [response async for response in stub.Generate(_request("hello there"))]
        assert [piece for response in responses for piece in response.pieces] == ["You", " said:", " hello", " there"]
        assert [response.HasField("summary") for response in responses][:-1] == [False] * (len(responses) - 1)
        summary = responses[-1].summary
        assert (summary.model, summary.finish_reason) == ("scripted", "stop")
        assert (summary.input_tokens, summary.output_tokens) == (2, 4)


async def test_every_model_is_listed_and_none_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_INFERENCE_PROVIDER", "scripted")
    async with _served(tmp_path) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        models = (await stub.GetModelsStatus(model_service_pb2.GetModelsStatusRequest())).models
    seen = {model.id: (model.provider, model_service_pb2.ModelState.Name(model.state)) for model in models}
    assert seen == {
        "scripted": ("scripted", "MODEL_STATE_READY"),
        "qwen2.5-coder-1.5b-instruct": ("local", "MODEL_STATE_NOT_FETCHED"),
        "smollm2-135m-instruct": ("local", "MODEL_STATE_AVAILABLE"),
    }
    assert [model.is_default for model in models] == [True, False, False]


async def test_the_small_local_model_answers_when_nothing_is_set(tmp_path: Path) -> None:
    async with _served(tmp_path) as channel:
        generation = generation_service_pb2_grpc.GenerationServiceStub(channel)
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        responses = [response async for response in generation.Generate(_request("Hello", max_output_tokens=8))]
        assert any(response.pieces for response in responses)
        assert responses[-1].summary.model == "smollm2-135m-instruct"
        first = (await models.GetModelsStatus(model_service_pb2.GetModelsStatusRequest())).models[0]
        assert (first.id, first.is_default, first.context_tokens) == ("smollm2-135m-instruct", True, 4096)
        assert first.state == model_service_pb2.MODEL_STATE_READY
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await _drain(generation.Generate(_request("Hello", model="qwen2.5-coder-1.5b-instruct")))
        assert _reason(failure.value) == "MODEL_UNAVAILABLE"
        assert "parley models fetch" in str(failure.value.details())


async def test_failures_have_their_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_INFERENCE_PROVIDER", "openai")
    monkeypatch.setenv("PARLEY_INFERENCE_OPENAI_CONTEXT_TOKENS", "1000")
    async with _served(tmp_path) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        for request, reason in (
            (_request("hi", model="gpt-9"), "MODEL_NOT_FOUND"),
            (_request("word " * 1000), "CONTEXT_LENGTH_EXCEEDED"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await _drain(stub.Generate(request))
            assert (failure.value.code(), _reason(failure.value)) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_a_model_that_is_in_no_list_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_INFERENCE_MODEL", "gpt-9")
    with pytest.raises(ModelNotFound, match="gpt-9"):
        async with _served(tmp_path):
            pass


@pytest.mark.parametrize("ending", ["cancel", "deadline"])
async def test_a_caller_that_stops_listening_stops_the_provider(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_INFERENCE_PROVIDER", "openai")
    async with providing(streaming(chunk("Hi"), then_hangs=True)) as provider:
        monkeypatch.setenv("PARLEY_INFERENCE_OPENAI_BASE_URL", provider.base_url)
        async with _served(tmp_path) as channel, asyncio.timeout(40):
            stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
            seconds = 3.0 if ending == "deadline" else 60
            ends_at = time.perf_counter() + seconds
            call = stub.Generate(_request("Hello"), timeout=seconds)
            first = await call.read()
            assert isinstance(first, generation_service_pb2.GenerateResponse)
            assert first.pieces == ["Hi"]
            if ending == "cancel":
                ends_at = time.perf_counter()
                call.cancel()
            await provider.listener_left.wait()
            # Soon, and long before the provider would be given up.
            assert 0 <= time.perf_counter() - ends_at < 10


def test_the_script_needs_neither_sdk_nor_runtime() -> None:
    program = (
        "import sys, services.inference.wiring as w\n"
        "print([name for name in ('openai', 'httpx2', 'xllamacpp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def _drain(responses: AsyncIterable[generation_service_pb2.GenerateResponse]) -> None:
    async for _ in responses:
        pass


async def test_prometheus_is_told_how_models_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_INFERENCE_PROVIDER", "scripted")
    port, model = free_port(), {"gen_ai_request_model": "scripted", "gen_ai_provider_name": "scripted"}
    durations = "gen_ai_client_operation_duration_seconds_count"
    async with metrics.exposed(f"127.0.0.1:{port}"), _served(tmp_path) as channel:
        stub = generation_service_pb2_grpc.GenerationServiceStub(channel)
        before = await scraped(port)
        async for _ in stub.Generate(_request("hello")):
            pass
        after = await scraped(port)
    for sample in (durations, "gen_ai_client_operation_time_to_first_chunk_seconds_count"):
        assert after.value(sample, **model) == before.value(sample, **model) + 1
    for kind in ("input", "output"):
        series = {**model, "gen_ai_token_type": kind}
        assert after.value("gen_ai_client_token_usage_sum", **series) > before.value(
            "gen_ai_client_token_usage_sum", **series
        )
