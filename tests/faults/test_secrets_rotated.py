"""Certificates, database users and the encryption key change in the full stack while people talk: no request fails."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import hvac
import pytest

from tests.support.polling import until
from tests.support.running_keycloak import CACHE
from tests.support.running_mesh import RunningMesh, running_mesh

_PEOPLE = 3
_PASSWORD = "correct horse battery 7"
_TTL, _LONGEST = "6s", "12s"


@pytest.fixture
def mesh() -> Iterator[RunningMesh]:
    """A full stack whose certificates live 12 s."""
    settings = {"profile": "full", "cache": CACHE, "start_timeout": 240, "first_start_timeout": 300}
    with (
        TemporaryDirectory(prefix="parley-rotated-") as home,
        running_mesh(Path(home), **settings, certificate_seconds=12) as running,
    ):
        yield running


async def test_everything_rotates_under_load_and_no_request_fails(mesh: RunningMesh) -> None:
    operator = await asyncio.to_thread(_operator, mesh)
    await asyncio.to_thread(_shorten, mesh, operator)
    async with httpx.AsyncClient(base_url=mesh.url, timeout=30) as client:
        people = [await _person(client) for _ in range(_PEOPLE)]
        done = asyncio.Event()
        talking = [asyncio.create_task(_talk(client, headers, done)) for headers in people]
        async with asyncio.timeout(120):
            while not all(count >= 3 for count in (await asyncio.to_thread(_rotations, mesh)).values()):
                operator.secrets.transit.rotate_key("conversations")
                await asyncio.wait(talking, timeout=1, return_when=asyncio.FIRST_COMPLETED)
                assert not any(one.done() for one in talking), [one for one in talking if one.done()]
        done.set()
        # A request that fails ends the test with its exception.
        requests = sum(await asyncio.gather(*talking))
    rotations = await asyncio.to_thread(_rotations, mesh)
    print(f"{requests} requests, {rotations}, 0 failed")


def _operator(mesh: RunningMesh) -> hvac.Client:
    ports = json.loads((mesh.home / "run" / "ports.json").read_text())
    client = hvac.Client(url=f"http://127.0.0.1:{ports['vault']}")
    client.auth.userpass.login("operator", (mesh.home / "secrets" / "vault-operator-password").read_text())
    return client


def _shorten(mesh: RunningMesh, operator: hvac.Client) -> None:
    """Make the database users short-lived, and the processes begin anew with such ones."""
    for role in ("services", "worker"):
        kept = operator.secrets.database.read_role(role)["data"]
        operator.secrets.database.create_role(
            role,
            kept["db_name"],
            kept["creation_statements"],
            default_ttl=_TTL,
            max_ttl=_LONGEST,
            revocation_statements=kept["revocation_statements"],
        )
    before = {role: _count(mesh, role, "leased a database user") for role in ("services", "worker")}
    state = json.loads((mesh.home / "run" / "state.json").read_text())
    for role in before:
        os.kill(state["parts"][role]["pid"], signal.SIGTERM)
    until(
        lambda: all(_count(mesh, role, "leased a database user") > count for role, count in before.items()),
        seconds=60,
        what="processes with short-lived users",
    )
    until(lambda: _is_up(mesh), seconds=60, what="a ready edge")


def _rotations(mesh: RunningMesh) -> dict[str, int]:
    return {
        "users of the services": _count(mesh, "services", "leased a database user") - 2,
        "users of the worker": _count(mesh, "worker", "leased a database user") - 2,
        "certificates of Envoy": _count(mesh, "certificates", '"identity": "envoy"') - 1,
        "channels": _count(mesh, "worker", "mesh channel replaced"),
    }


def _count(mesh: RunningMesh, part: str, words: str) -> int:
    return (mesh.home / "logs" / f"{part}.log").read_text().count(words)


def _is_up(mesh: RunningMesh) -> bool:
    try:
        return httpx.get(f"{mesh.url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


async def _person(client: httpx.AsyncClient) -> dict[str, str]:
    name = f"p{uuid4().hex[:12]}"
    who = {"email": f"{name}@example.org", "username": name, "password": _PASSWORD, "displayName": name}
    (await client.post("/api/v1/auth/register", json=who)).raise_for_status()
    answer = await client.post("/api/v1/auth/login", json={"login": name, "password": _PASSWORD})
    return {"authorization": f"Bearer {answer.raise_for_status().json()['accessToken']}"}


async def _talk(client: httpx.AsyncClient, headers: dict[str, str], done: asyncio.Event) -> int:
    """Open private conversations, say something and read the answer to its end; return how many requests that took."""
    requests = 0
    while not done.is_set():
        opened = await client.post("/api/v1/chat/conversations", json={"private": True}, headers=headers)
        conversation = f"/api/v1/chat/conversations/{opened.raise_for_status().json()['id']}"
        said = await client.post(f"{conversation}/messages", json={"text": "Hello there"}, headers=headers)
        run = said.raise_for_status().json()["run"]["id"]
        events = {**headers, "accept": "text/event-stream"}
        stream = await client.get(f"{conversation}/runs/{run}:stream", headers=events)
        assert "You said: Hello there" in stream.raise_for_status().text
        read = await client.get(f"{conversation}/messages", headers=headers)
        assert read.raise_for_status().json()["messages"][0]["text"] == "Hello there"
        requests += 4
    return requests
