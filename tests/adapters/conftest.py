"""The REST adapter as a process would run it, in front of the trial upstream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from adapters.rest.codec import Codec
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.dialect import PARLEY
from adapters.rest.serving import RestServer
from adapters.rest.settings import RestSettings
from tests.adapters.trial import Trial, compile_trial, load_trial, start_trial

MAX_BODY_BYTES = 1024 * 1024


@dataclass
class Face:
    """A running adapter."""

    port: int
    client: httpx.AsyncClient


@asynccontextmanager
async def running_adapter(settings: RestSettings) -> AsyncIterator[Face]:
    """Run the adapter under uvicorn on a free port."""
    server = RestServer(settings)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
            yield Face(port, client)
    finally:
        server.should_exit = True
        await serving


@pytest.fixture(scope="session")
def trial_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the trial's descriptor set."""
    return compile_trial(tmp_path_factory.mktemp("trial"))


@pytest.fixture(scope="session")
def trial_types(trial_set: Path) -> DescriptorSet:
    """The trial's types."""
    return load_trial(trial_set)


@pytest.fixture(scope="session")
def codec(trial_types: DescriptorSet) -> Codec:
    """The codec of the trial's types."""
    return Codec(trial_types, PARLEY)


@pytest.fixture(scope="session")
def trial(trial_types: DescriptorSet) -> Trial:
    """The upstream's RPCs."""
    return Trial(trial_types)


@pytest.fixture(scope="session")
async def upstream(trial: Trial, trial_types: DescriptorSet) -> AsyncIterator[str]:
    """The address of the upstream."""
    server, port = await start_trial(trial, trial_types)
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture(scope="session")
async def face(trial_set: Path, upstream: str) -> AsyncIterator[Face]:
    """The adapter in front of the upstream."""
    settings = RestSettings(
        listen="127.0.0.1:0",
        upstream=upstream,
        descriptor_set=trial_set,
        dialect="parley",
        max_body_bytes=MAX_BODY_BYTES,
        default_timeout_seconds=30,
        heartbeat_seconds=0.2,
        drain_seconds=1,
    )
    async with running_adapter(settings) as running:
        yield running


@pytest.fixture
def client(face: Face) -> httpx.AsyncClient:
    """A client of the adapter."""
    return face.client
