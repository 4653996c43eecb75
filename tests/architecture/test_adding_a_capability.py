"""Does what docs/adding-a-capability.md says, in a copy of the tree, and calls the result over gRPC and REST."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.architecture.house import ROOT
from tests.services.chassis.key_server import AUDIENCE, ISSUER, running_key_server, token
from tests.support.polling import until
from tests.support.stores import free_port

_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COPIED = ("adapters", "deploy", "gen", "protos", "services", "tests")
_FILES = ("Makefile", "buf.yaml", "pyproject.toml")
_NEW = ("services/greetings", "tests/services/greetings", "tests/acceptance/greetings", "tests/mesh/test_greetings.py")
_RPC = "parley.greetings.v1.GreetingService"

_SERVE = """
import asyncio
from services.chassis.resources import open_resources
from services.chassis.serving import serve
from services.chassis.settings import ChassisSettings
from services.registry import assemble

async def main():
    settings = ChassisSettings()
    async with open_resources(settings, "services") as resources:
        await serve(await assemble(["greetings"], resources), resources)

asyncio.run(main())
"""
_CALL = """
import sys, grpc
from parley.greetings.v1 import greeting_service_pb2 as pb, greeting_service_pb2_grpc as pb_grpc
with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = pb_grpc.GreetingServiceStub(channel)
    shown = [("authorization", "Bearer " + sys.argv[2])]
    answer = stub.Greet(pb.GreetRequest(name="Ann"), metadata=shown, wait_for_ready=True, timeout=20)
    print(answer.text, answer.count)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which somebody followed the document."""
    tree = tmp_path_factory.mktemp("tree")
    for name in _COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        shutil.copy(ROOT / name, tree)
    (tree / ".venv").symlink_to(ROOT / ".venv")
    text = (ROOT / "docs" / "adding-a-capability.md").read_text()
    for kind, place, content in _BLOCK.findall(text):
        if kind == "sh":
            for command in content.splitlines():
                if command.startswith("sed "):
                    _run(tree, "bash", "-c", command)
        elif kind == "diff":
            _insert(tree / place, content)
        else:
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            (tree / place).write_text(content)
    _run(tree, "make", "-o", ".venv/dev.stamp", "gen")
    _run(tree, "git", "init", "--quiet")
    return tree


def _insert(path: Path, diff: str) -> None:
    context, added = diff.splitlines()
    assert (context[0], added[0]) == (" ", "+")
    text = path.read_text()
    assert text.count(context[1:] + "\n") == 1, f"{path.name} has no line {context[1:]!r}"
    path.write_text(text.replace(context[1:] + "\n", f"{context[1:]}\n{added[1:]}\n"))


def _environment(tree: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PARLEY_", "GIT_"))}
    return kept | {"PYTHONPATH": f"{tree}:{tree / 'gen'}", "PYTHONDONTWRITEBYTECODE": "1"} | settings


def _run(tree: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=tree, env=_environment(tree), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def _running(tree: Path, *command: str, **settings: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, *command], cwd=tree, env=_environment(tree, **settings))
    try:
        yield
        assert process.poll() is None, f"{command} ended too early"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def greetings(tree: Path, valkey_url: str) -> Iterator[tuple[str, str]]:
    """The gRPC target of the running capability and the URL of a REST adapter before it."""
    target, rest = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    with running_key_server() as keys:
        settings = {
            "PARLEY_AUDIENCE": AUDIENCE,
            "PARLEY_ISSUER": ISSUER,
            "PARLEY_JWKS_URL": keys.url,
            "PARLEY_SECRET": "a secret of the tests, long enough",
            "PARLEY_SERVE_LISTEN": target,
            "PARLEY_VALKEY_URL": valkey_url,
            "PARLEY_REST_LISTEN": rest,
            "PARLEY_REST_UPSTREAM": target,
        }
        with (
            _running(tree, "-c", _SERVE, **settings),
            _running(tree, "-m", "services", "rest", **settings),
        ):
            until(lambda: _serves(rest), seconds=30, what="the toy capability behind the REST adapter")
            yield target, f"http://{rest}"


def _serves(rest: str) -> bool:
    # Without a token the service answers 401: then all of it is there.
    try:
        return httpx.post(f"http://{rest}/api/v1/greetings", json={"name": "Ann"}, trust_env=False).status_code == 401
    except httpx.HTTPError:
        return False


def test_the_blocks_are_as_the_house_writes_code(tree: Path) -> None:
    for arguments in (("format", "--check"), ("check", "--no-cache")):
        _run(tree, ".venv/bin/ruff", *arguments, "services/registry.py", "services/settings_listing.py", *_NEW)
    _run(tree, ".venv/bin/buf", "lint")
    _run(tree, ".venv/bin/buf", "format", "--diff", "--exit-code")


def test_the_new_service_keeps_the_import_contracts(tree: Path) -> None:
    script = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    assert " 0 broken" in _run(tree, sys.executable, "-c", script)


def test_the_tests_of_the_document_and_of_the_architecture_pass(tree: Path) -> None:
    passed = _run(
        tree,
        *(sys.executable, "-m", "pytest", "-q", "-k", "greet or registry or folder or contracts"),
        *("tests/services/greetings", "tests/acceptance/greetings"),
        *(f"tests/architecture/{name}.py" for name in ("test_contract", "test_services")),
    )
    assert re.search(r"\d\d passed", passed)


def test_the_rpc_answers_over_grpc(tree: Path, greetings: tuple[str, str]) -> None:
    answer = _run(tree, sys.executable, "-c", _CALL, greetings[0], token(sub="grpc-ann"))
    assert answer == "Hello, Ann! 1\n"


def test_the_rpc_answers_over_rest_without_an_edit_of_the_adapter(greetings: tuple[str, str]) -> None:
    with httpx.Client(base_url=greetings[1], trust_env=False) as client:
        signed_in = {"authorization": f"Bearer {token(sub='rest-ann')}"}
        answer = client.post("/api/v1/greetings", json={"name": "Ann", "language": "vi"}, headers=signed_in)
        assert (answer.status_code, answer.json()) == (200, {"text": "Xin chào, Ann!", "count": "1"})
        unknown = client.post("/api/v1/greetings", json={"name": "Ann", "language": "tlh"}, headers=signed_in)
        assert unknown.status_code == 400
        assert unknown.json()["details"][0]["reason"] == "LANGUAGE_UNKNOWN"
        long = client.post("/api/v1/greetings", json={"name": "x" * 101}, headers=signed_in)
        assert (long.status_code, long.json()["message"]) == (400, "name: must have at most 100 characters")
        assert client.post("/api/v1/greetings", json={"name": "Ann"}).status_code == 401
        assert "/api/v1/greetings" in client.get("/api/docs/openapi.json").text + client.get("/api/openapi.json").text


def test_envoy_routes_the_rpc_without_an_edit(tree: Path) -> None:
    assert "greetings" not in (tree / "deploy" / "envoy" / "envoy.yaml").read_text()
    rendered = _run(tree, sys.executable, "-m", "deploy.envoy.render")
    configuration = yaml.safe_load(rendered)["static_resources"]
    routes = [
        route
        for listener in configuration["listeners"]
        for chain in listener["filter_chains"]
        for one in chain["filters"]
        for host in one["typed_config"].get("route_config", {}).get("virtual_hosts", [])
        for route in host["routes"]
    ]
    by_cluster = {
        json.dumps(route["match"]) for route in routes if route.get("route", {}).get("cluster") == "greetings"
    }
    assert any("parley.greetings.v1" in match for match in by_cluster), rendered
    assert "greetings" in {cluster["name"] for cluster in configuration["clusters"]}


def test_the_setting_is_shown(tree: Path) -> None:
    assert "\nPARLEY_GREETINGS_LANGUAGE=en  # " in _run(tree, sys.executable, "-m", "services", "settings")
