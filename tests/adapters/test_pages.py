"""The pages beside the calls: health, docs, OpenAPI, and what happens when the upstream is away."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from adapters.rest.descriptors import DescriptorSet, DescriptorSetInvalid, load_descriptor_set, read_descriptor_set
from adapters.rest.openapi import openapi_document
from adapters.rest.settings import RestSettings
from tests.adapters.conftest import Face, running_adapter
from tests.adapters.trial import SERVICE

SCHEMA_TYPES = {"string", "number", "integer", "boolean", "array", "object", "null"}


@pytest.fixture(scope="module")
def own() -> DescriptorSet:
    """Parley's own descriptors."""
    return read_descriptor_set(RestSettings().descriptor_set)


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from walk(item)


@pytest.fixture(params=["own", "trial_types"])
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The document of each descriptor set."""
    return openapi_document(request.getfixturevalue(request.param), "Title", "1")


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert {"title", "version"} <= document["info"].keys()
    identifiers = []
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            assert verb in {"get", "put", "post", "delete", "patch"}
            identifiers.append(operation["operationId"])
            assert "default" in operation["responses"]
            parameters = operation.get("parameters", [])
            names = [(one["in"], one["name"]) for one in parameters]
            assert len(names) == len(set(names))
            in_path = {name for place, name in names if place == "path"}
            assert in_path == set(re.findall(r"{([^}]*)}", path))
            assert all(one["required"] for one in parameters if one["in"] == "path")
    assert len(identifiers) == len(set(identifiers))


def test_every_reference_is_there_and_every_type_known(document: dict[str, Any]) -> None:
    for part in walk(document):
        reference = part.get("$ref")
        if isinstance(reference, str):
            place: Any = document
            for name in reference.removeprefix("#/").split("/"):
                place = place[name]
        kind = part.get("type")
        if isinstance(kind, str) and "scheme" not in part:
            assert kind in SCHEMA_TYPES
        if "pattern" in part and isinstance(part["pattern"], str):
            re.compile(part["pattern"])
    for name in document["components"]["schemas"]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)


def test_our_document_says_what_the_protos_say(own: DescriptorSet) -> None:
    document = openapi_document(own, "Parley", "1")
    register = document["paths"]["/api/v1/auth/register"]["post"]
    assert register["summary"] == "Registers a user"
    assert register["security"] == []
    schemas = document["components"]["schemas"]
    request = schemas["parley.identity.v1.RegisterRequest"]
    assert request["required"] == ["email", "username", "password"]
    assert request["properties"]["password"]["minLength"] == 8
    assert request["properties"]["email"]["format"] == "email"
    assert request["properties"]["displayName"]["description"].startswith("The name that others see")
    me = document["paths"]["/api/v1/users/me"]
    assert me["get"]["security"] == [{"bearer": []}]
    assert me.keys() == {"get", "put", "patch"}
    stream = document["paths"]["/api/v1/chat/conversations/{conversationId}/runs/{runId}:stream"]["get"]
    assert stream["responses"]["200"]["content"].keys() == {"application/json", "text/event-stream"}
    assert "Last-Event-ID" in [one["name"] for one in stream["parameters"]]
    state = schemas["parley.conversations.v1.Run"]["properties"]
    assert {"type": "null"} in state["error"]["anyOf"]
    enum = schemas["parley.conversations.v1.RunState"]
    assert "- `RUN_STATE_QUEUED`: The run waits" in enum["description"]


async def test_our_own_face_has_its_docs(upstream: str) -> None:
    settings = RestSettings(listen="127.0.0.1:0", upstream=upstream, drain_seconds=1)
    async with running_adapter(settings) as face:
        landing = (await face.client.get("/")).json()
        assert landing["name"] == "Parley"
        for path in landing["links"].values():
            assert (await face.client.get(path)).status_code in (200, 503)
        for part, prefix in (("auth", "/api/v1/"), ("chat", "/api/v1/"), ("admin", "/api/v1/")):
            page = await face.client.get(f"/api/v1/{part}/docs")
            assert f"/api/v1/{part}/docs/openapi.json" in page.text
            assert "cdn" not in page.text
            paths = (await face.client.get(f"/api/v1/{part}/docs/openapi.json")).json()["paths"]
            assert paths
            assert all(path.startswith(prefix) for path in paths)
        for address in re.findall(r'(?:src|href)="([^"]+)"', (await face.client.get("/api/docs")).text):
            assert (await face.client.get(address)).status_code == 200
        part_health = await face.client.get("/auth/health")
        assert part_health.status_code == 503
        assert part_health.json() == {
            "status": "unavailable",
            "services": {"parley.identity.v1.AuthService": "SERVICE_UNKNOWN"},
        }


async def test_health_of_a_foreign_upstream(client: httpx.AsyncClient) -> None:
    health = await client.get("/health")
    assert (health.status_code, health.json()) == (200, {"status": "ok", "services": {}})
    assert (await client.get("/healthz")).json() == {"status": "SERVING"}
    assert (await client.get(f"/healthz?service={SERVICE}")).status_code == 503
    assert (await client.get("/healthz?service=no.Such")).status_code == 404
    assert (await client.post("/health")).json()["code"] == 5


def test_the_upstream_is_the_mesh_when_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_MESH_TARGET", "mesh:1")
    assert RestSettings().upstream == "mesh:1"
    monkeypatch.setenv("PARLEY_REST_UPSTREAM", "own:2")
    assert RestSettings().upstream == "own:2"
    assert RestSettings(upstream="given:3").upstream == "given:3"


@pytest.fixture
async def lost(trial_set: Path) -> Any:
    """An adapter whose upstream is not there."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        settings = RestSettings(
            listen="127.0.0.1:0", upstream=address, descriptor_set=trial_set, dialect="parley", drain_seconds=1
        )
        async with running_adapter(settings) as face:
            yield face


async def test_a_lost_upstream_is_unavailable(lost: Face) -> None:
    for headers in ({}, {"accept": "text/event-stream"}):
        for path in ("/v1/users/a", "/v1/ticks?count=1"):
            answer = await lost.client.get(path, headers=headers)
            assert answer.status_code == 503
            assert '"code":14,"message":"the upstream is not reachable"' in answer.text
    assert (await lost.client.get("/health")).status_code == 503


async def test_a_bug_does_not_show_its_text(
    face: Face, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("adapters.rest.endpoint.content_of", broken)
    answer = await face.client.get("/v1/users/a", headers={"x-request-id": "bug-1"})
    assert (answer.status_code, answer.text) == (500, '{"code":13,"message":"internal error","details":[]}')
    assert "bug-1" in caplog.text


def test_descriptor_sets_that_cannot_be_served(trial_set: Path, tmp_path: Path) -> None:
    with pytest.raises(DescriptorSetInvalid):
        load_descriptor_set(b"\xff\xff")
    with pytest.raises(DescriptorSetInvalid):
        read_descriptor_set(tmp_path / "missing")
    files = FileDescriptorSet.FromString(trial_set.read_bytes()).file
    alone = FileDescriptorSet(file=[file for file in files if file.name == "trial.proto"])
    # Google's own files are installed with the adapter, so a set without them will do.
    assert load_descriptor_set(alone.SerializeToString()).service_names() == {SERVICE}
    alone.file[0].dependency.append("not/there.proto")
    with pytest.raises(DescriptorSetInvalid, match=r"not/there\.proto"):
        load_descriptor_set(alone.SerializeToString())
