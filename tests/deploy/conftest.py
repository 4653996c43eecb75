"""Envoy between real upstreams."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx
import pytest

from tests.deploy.grpc_double import running_grpc_double
from tests.deploy.rest_double import running_rest_double
from tests.deploy.running_envoy import House, plan_house, running_envoy
from tests.deploy.tokens import TokenMaker
from tests.support.polling import until


@pytest.fixture(scope="session")
def maker() -> TokenMaker:
    """Whose keys the REST adapter publishes."""
    return TokenMaker()


@pytest.fixture(scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory, maker: TokenMaker) -> AsyncIterator[House]:
    """Envoy, the services and the REST adapter, all up, with the keys fetched."""
    folder: Path = tmp_path_factory.mktemp("envoy")
    house = plan_house(folder)
    with running_rest_double(house.rest, maker.key_set()), running_envoy(house):
        async with running_grpc_double(house.services):
            headers = {"authorization": f"Bearer {maker.token()}"}
            until(lambda: httpx.get(f"{house.url}/api/ok", headers=headers).status_code == 200, seconds=5, what="keys")
            yield house


@pytest.fixture
async def edge(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the edge."""
    async with httpx.AsyncClient(base_url=house.url) as client:
        yield client


@pytest.fixture
async def edge_channel(house: House) -> AsyncIterator[grpc.aio.Channel]:
    """A gRPC channel to the edge."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.edge}") as channel:
        yield channel


@pytest.fixture
async def mesh_channel(house: House) -> AsyncIterator[grpc.aio.Channel]:
    """A gRPC channel to the mesh."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.mesh}") as channel:
        yield channel


@pytest.fixture
def signed_in(maker: TokenMaker) -> dict[str, str]:
    """The header of somebody who is signed in."""
    return {"authorization": f"Bearer {maker.token()}"}
