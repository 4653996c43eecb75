"""Two versions of one service beside each other, and routes that do not stand in the protos."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from adapters.rest.app import build_app
from adapters.rest.descriptors import DescriptorSet, message_class
from adapters.rest.docs import versions
from adapters.rest.settings import RestSettings
from tests.adapters.conftest import Face
from tests.adapters.upstreams import compiled, facing, serving

RULES = """
type: google.api.Service
http:
  rules:
    - selector: parley.trial.v2.NoteService.MoveNote
      post: /api/v2/chat/notes/{id}:move
"""


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DescriptorSet]:
    """The descriptor set of both versions."""
    return compiled("versions.proto", tmp_path_factory.mktemp("versions"))


@pytest.fixture(scope="module")
async def face(notes: tuple[Path, DescriptorSet]) -> AsyncIterator[Face]:
    """One adapter for both, with a file of rules and routes for what has none."""
    rules = notes[0].with_name("rules.yaml")
    rules.write_text(RULES)

    def note(package: str, **fields: Any) -> Any:
        kind: Any = message_class(notes[1].pool.FindMessageTypeByName(f"parley.trial.{package}.Note"))

        async def behave(request: Any, _context: Any) -> Any:
            return kind(id=request.id, **fields)

        return behave

    behaviors = {
        "parley.trial.v1.NoteService.GetNote": note("v1", text="a b"),
        "parley.trial.v2.NoteService.GetNote": note("v2", parts=["a", "b"]),
        "parley.trial.v2.NoteService.MoveNote": note("v2", parts=["moved"]),
        "parley.trial.v2.NoteService.DropNote": note("v2", parts=["dropped"]),
    }
    settings = {"http_rules": rules, "generate_unbound_methods": True, "dialect": "parley"}
    async with serving(notes[1], behaviors) as upstream, facing(notes[0], upstream, **settings) as running:
        yield running


async def test_both_versions_answer_and_the_old_one_says_that_it_goes(face: Face) -> None:
    old = await face.client.get("/api/v1/chat/notes/n")
    new = await face.client.get("/api/v2/chat/notes/n")
    assert (old.json(), new.json()) == ({"id": "n", "text": "a b"}, {"id": "n", "parts": ["a", "b"], "old": None})
    assert old.headers["deprecation"] == "@1801353600"
    assert old.headers["sunset"] == "Mon, 31 Jan 2028 00:00:00 GMT"
    assert old.headers["link"] == '</api/v2/chat/notes>; rel="successor-version"'
    assert not {"deprecation", "sunset", "link"} & new.headers.keys()


async def test_each_version_has_its_documents_and_pages(face: Face) -> None:
    whole = (await face.client.get("/api/docs/openapi.json")).json()
    OpenAPIV31SpecValidator(whole).validate()
    assert whole["paths"]["/api/v1/chat/notes/{id}"]["get"]["deprecated"] is True
    assert "deprecated" not in whole["paths"]["/api/v2/chat/notes/{id}"]["get"]
    links = (await face.client.get("/")).json()["links"]
    assert links["chat_docs"] == "/api/v1/chat/docs"
    assert links["v2_chat_docs"] == "/api/v2/chat/docs"
    assert "v2_auth_docs" not in links
    for version in ("v1", "v2"):
        for path in (f"/api/{version}/docs", f"/api/{version}/chat/docs"):
            assert f"{path}/openapi.json" in (await face.client.get(path)).text
            paths = (await face.client.get(f"{path}/openapi.json")).json()["paths"]
            assert paths
            assert all(one.startswith(f"/api/{version}/") for one in paths)


async def test_routes_from_elsewhere_are_served_and_documented(face: Face) -> None:
    assert (await face.client.post("/api/v2/chat/notes/n:move")).json()["parts"] == ["moved"]
    dropped = await face.client.post("/parley.trial.v2.NoteService/DropNote", json={"id": "n"})
    assert dropped.json()["parts"] == ["dropped"]
    paths = (await face.client.get("/api/docs/openapi.json")).json()["paths"]
    assert paths["/api/v2/chat/notes/{id}:move"]["post"]["summary"] == "Has its route from a file of rules"
    assert paths["/parley.trial.v2.NoteService/DropNote"]["post"]["summary"] == "Has no route"


def test_the_versions_are_those_of_the_paths(notes: tuple[Path, DescriptorSet]) -> None:
    assert versions(notes[1]) == ["v1", "v2"]


def test_rpcs_without_a_rule_are_logged_when_wanted(
    notes: tuple[Path, DescriptorSet], caplog: pytest.LogCaptureFixture
) -> None:
    build_app(RestSettings(descriptor_set=notes[0], warn_on_unbound_methods=True))
    names = ["MoveNote", "DropNote"]
    assert caplog.messages == [f"parley.trial.v2.NoteService.{name} has no HTTP rule" for name in names]
