"""Real models for the suites."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.inference.backends.cpu_instructions import missing_here
from services.inference.backends.llama_server_process import LlamaServerProcess, ServerOptions
from services.inference.backends.openai_chat_model import Manner, OpenAIChatModel, Patience
from services.inference.backends.openai_connection import OpenAIConnection
from services.inference.weights import read_lock

CONTEXT_TOKENS = 1024
PATIENCE = Patience(first_token_seconds=60, idle_seconds=30)


def small_model_process(home: Path) -> LlamaServerProcess:
    """Return the process of SmolLM2, not started."""
    options = ServerOptions(context_tokens=CONTEXT_TOKENS, parallel=2, threads=1, start_seconds=60)
    return LlamaServerProcess(read_lock()[-1], home, options, missing_here())


@pytest.fixture(scope="session")
async def local_process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LlamaServerProcess]:
    """The process of SmolLM2. It starts when it is first asked for."""
    process = small_model_process(tmp_path_factory.mktemp("home"))
    yield process
    await process.close()


@pytest.fixture(scope="session")
async def local_connection(local_process: LlamaServerProcess) -> AsyncIterator[OpenAIConnection]:
    """The connection to it."""
    connection = OpenAIConnection(local_process.endpoint)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def local_model(local_connection: OpenAIConnection) -> OpenAIChatModel:
    """SmolLM2 as `PARLEY_INFERENCE_PROVIDER=local` runs it."""
    return OpenAIChatModel(
        "smollm2-135m-instruct", "smollm2-135m-instruct", local_connection, PATIENCE, Manner(by_grammar=True)
    )
