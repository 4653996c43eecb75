"""One whole house for all user stories; a test that breaks it starts its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.callers import Edge, Person, edge_of
from tests.support.running_mesh import ADMIN_EMAIL, ADMIN_PASSWORD, RunningMesh, running_mesh


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """A house whose model says `You said: ...`, 20 ms a word."""
    with running_mesh(tmp_path_factory.mktemp("mesh"), inference_scripted_delay_ms=20) as mesh:
        yield mesh


@pytest.fixture(scope="session")
async def edge(mesh: RunningMesh) -> AsyncIterator[Edge]:
    """The edge of the house, for nobody in particular."""
    async with edge_of(mesh.url) as edge:
        yield edge


@pytest.fixture
async def ada(edge: Edge) -> Person:
    """Somebody new, signed in."""
    return await edge.register()


@pytest.fixture(scope="session")
async def stranger(edge: Edge) -> Person:
    """Somebody else, who owns nothing."""
    return await edge.register()


@pytest.fixture(scope="session")
async def admin(edge: Edge) -> Person:
    """The administrator of the settings."""
    return await edge.person(ADMIN_EMAIL, ADMIN_PASSWORD)
