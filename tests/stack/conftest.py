"""One full stack for all stories: Keycloak, RabbitMQ, and the house on top of them."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from keycloak import KeycloakAdmin, KeycloakOpenIDConnection

from deploy.local.ports import assign_ports
from tests.support.callers import Edge, Person, edge_of
from tests.support.running_keycloak import CACHE
from tests.support.running_mesh import RunningMesh, running_mesh


@dataclass
class Stack:
    """The running stack and what a test needs to know of it."""

    mesh: RunningMesh
    page: int
    """The port of the page that signs people in, which the realm knows as an origin."""
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The edge."""
        return self.mesh.url

    @property
    def issuer(self) -> str:
        """Who signs the tokens."""
        return f"{self.url}/auth/realms/parley"

    @property
    def keycloak(self) -> str:
        """Keycloak itself, past Envoy."""
        return f"http://127.0.0.1:{self.ports['keycloak']}/auth"

    @property
    def security(self) -> str:
        """The security listener."""
        return f"http://127.0.0.1:{self.ports['security']}"

    def secret(self, name: str) -> str:
        """Return a generated secret."""
        return (self.mesh.home / "secrets" / name).read_text().strip()

    def admin(self, realm: str = "parley") -> KeycloakAdmin:
        """Return an administrator of a realm."""
        connection = KeycloakOpenIDConnection(
            server_url=f"{self.keycloak}/",
            user_realm_name="master",
            realm_name=realm,
            client_id="parley-operator",
            client_secret_key=self.secret("keycloak-operator-secret"),
        )
        return KeycloakAdmin(connection=connection)


def stack_settings(page: int) -> dict[str, object]:
    """Return the settings of a stack whose sign-in page is at a port."""
    return {
        "profile": "full",
        "cache": CACHE,
        "keycloak_web_origins": f"http://127.0.0.1:{page}",
        "jwks_cache_seconds": 3,
        "start_timeout": 180,
        "first_start_timeout": 240,
    }


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A full stack whose model says `You said: ...`."""
    home: Path = tmp_path_factory.mktemp("stack")
    page = assign_ports(["page"], home / "page-port.json", set())["page"]
    with running_mesh(home, **stack_settings(page)) as mesh:
        yield Stack(mesh, page, json.loads((home / "run" / "ports.json").read_text()))


@pytest.fixture(scope="session")
async def edge(stack: Stack) -> AsyncIterator[Edge]:
    """The edge of the stack, for nobody in particular."""
    async with edge_of(stack.url) as edge:
        yield edge


@pytest.fixture(scope="session")
async def ada(edge: Edge) -> Person:
    """Somebody signed in. Shared: each sign-in costs Keycloak a password hash."""
    return await edge.register()
