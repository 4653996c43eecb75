"""Start-up: what is wrong stops it with one line that names the file, the RPC and the rule."""

import asyncio
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest
from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rest.app import build_app
from adapters.rest.descriptors import DescriptorSetInvalid
from adapters.rest.external_rules import RulesInvalid, read_rules
from adapters.rest.json_splitter import JsonSplitter
from adapters.rest.listening import ListenInvalid, open_sockets
from adapters.rest.rules import RuleInvalid
from adapters.rest.serving import run
from adapters.rest.settings import RestSettings

SERVICE = "trial.v1.TrialService"


def changed(trial_set: Path, target: Path, rpc: str, rule: HttpRule, *, client_streaming: bool = False) -> Path:
    """Write the trial's descriptor set with another rule for an RPC."""
    files = FileDescriptorSet.FromString(trial_set.read_bytes())
    for file in files.file:
        if file.name == "trial.proto":
            method = next(method for method in file.service[0].method if method.name == rpc)
            method.options.Extensions[annotations_pb2.http].CopyFrom(rule)
            method.client_streaming = client_streaming
    target.write_bytes(files.SerializeToString())
    return target


@pytest.mark.parametrize(
    ("rpc", "rule", "problem"),
    [
        ("GetUser", HttpRule(get="/v1/{nope}"), "trial.v1.UserRequest has no field nope"),
        ("GetUser", HttpRule(post="/v1/x", body="nope"), "trial.v1.UserRequest has no field nope"),
        ("GetUser", HttpRule(get="/v1/x", response_body="nope"), "trial.v1.UserResponse has no field nope"),
        ("GetUser", HttpRule(get="/v1/x", body="*"), "GET takes no body"),
        ("GetUser", HttpRule(delete="/v1/x", body="*"), "DELETE takes no body"),
        ("GetUser", HttpRule(get="/v1/{id"), "open brace"),
        ("GetMe", HttpRule(get="/v1/users/{id}"), "twice"),
        ("Update", HttpRule(get="/v1/{nested}"), "cannot stand in a path"),
        (
            "GetUser",
            HttpRule(get="/x", additional_bindings=[HttpRule(get="/y", additional_bindings=[HttpRule(get="/z")])]),
            "additional_bindings inside",
        ),
    ],
)
def test_rules_that_cannot_be_served(trial_set: Path, tmp_path: Path, rpc: str, rule: HttpRule, problem: str) -> None:
    path = changed(trial_set, tmp_path / "wrong.binpb", rpc, rule)
    with pytest.raises(RuleInvalid) as caught:
        build_app(RestSettings(descriptor_set=path))
    text = str(caught.value)
    assert text.startswith(f"trial.proto: {SERVICE}.{rpc}: ")
    assert problem in text
    assert "\n" not in text


def test_an_upload_takes_no_path_variables(trial_set: Path, tmp_path: Path) -> None:
    path = changed(trial_set, tmp_path / "up.binpb", "GetUser", HttpRule(post="/v1/{id}"), client_streaming=True)
    with pytest.raises(RuleInvalid, match="takes no variables"):
        build_app(RestSettings(descriptor_set=path))


def test_delete_with_a_body_can_be_allowed(trial_set: Path, tmp_path: Path) -> None:
    path = changed(trial_set, tmp_path / "delete.binpb", "GetUser", HttpRule(delete="/v1/x", body="*"))
    assert build_app(RestSettings(descriptor_set=path, allow_delete_body=True)).gateway.serves("DELETE", "/v1/x")


RULES = f"""
type: google.api.Service
config_version: 3
http:
  rules:
    - selector: {SERVICE}.GetUser
      get: /external/{{id}}
      additional_bindings:
        - post: /external
          body: "*"
"""


def test_rules_of_a_file_come_beside_those_of_the_proto(trial_set: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    gateway = build_app(RestSettings(descriptor_set=trial_set, http_rules=tmp_path / "rules.yaml")).gateway
    for method, path in (("GET", "/external/a"), ("POST", "/external"), ("GET", "/v1/users/a")):
        assert gateway.serves(method, path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "No such file"),
        ("{", "not YAML"),
        ("type: other", "not of type"),
        ("http: {rules: [{selector: a.B.C, fetch: /x}]}", "fetch"),
    ],
)
def test_wrong_rules_files(tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "rules.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RulesInvalid, match=problem) as caught:
        read_rules(path)
    assert str(caught.value).startswith(str(path))


def test_a_rule_for_no_rpc_and_a_wrong_rule_name_their_file(trial_set: Path, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.replace("GetUser", "Missing"))
    with pytest.raises(RulesInvalid, match=f"{path}: no RPC has the selector"):
        build_app(RestSettings(descriptor_set=trial_set, http_rules=path))
    path.write_text(RULES.replace("{id}", "{nope}"))
    with pytest.raises(RuleInvalid, match=f"{path}: {SERVICE}.GetUser: GET /external/{{nope}}: "):
        build_app(RestSettings(descriptor_set=trial_set, http_rules=path))


@pytest.mark.parametrize(
    ("given_settings", "problem"),
    [
        ({"descriptor_set": "/not/there"}, "/not/there: No such file"),
        ({"descriptor_set": __file__}, "not a FileDescriptorSet"),
        ({"unescape": "none"}, "unescape"),
        ({"listen": "nowhere"}, "expected HOST:PORT"),
        ({"health_path": "healthz"}, "health_path"),
    ],
)
def test_a_mistake_is_one_line(
    given_settings: dict[str, str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(given_settings) == 1
    error = capsys.readouterr().err
    assert error.startswith("parley rest: ")
    assert error.count("\n") == 1
    assert problem in error


def test_sockets_for_every_address_share_a_port() -> None:
    sockets = open_sockets(":0")
    try:
        families = {one.family for one in sockets}
        assert socket.AF_INET in families
        assert len({one.getsockname()[1] for one in sockets}) == 1
        with pytest.raises(ListenInvalid):
            open_sockets(f"127.0.0.1:{sockets[0].getsockname()[1]}")
    finally:
        for one in sockets:
            one.close()


async def test_the_command_serves_soon_on_ipv4_and_ipv6(trial_set: Path, upstream: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--descriptor-set", str(trial_set), "--upstream", upstream, "--listen", f":{port}", "--proto-names"]
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services", "rest", *flags)
    hosts = ["127.0.0.1", "[::1]"] if socket.has_ipv6 and len(_everywhere()) > 1 else ["127.0.0.1"]
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
                    break
                except httpx.ConnectError:
                    assert time.monotonic() - began < 10
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
            for host in hosts:
                answer = await client.post(f"http://{host}:{port}/v1/echo")
                assert '"snake_case_name":""' in answer.text
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0


def _everywhere() -> list[int]:
    sockets = open_sockets(":0")
    for one in sockets:
        one.close()
    return [int(one.family) for one in sockets]


VALUES = st.lists(
    st.sampled_from(['{"a":"}\\\\"}', '["x]",{}]', '"a\\"b"', "{}", '{"é":[1,{"b":null}]}', "[[]]"]), max_size=5
)


@settings(max_examples=200, deadline=None, database=None)
@given(VALUES, st.sampled_from(["", " ", "\n\t"]), st.data())
def test_values_are_found_however_they_are_cut(values: list[str], between: str, data: st.DataObject) -> None:
    body = between.join(values).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    splitter = JsonSplitter(1000)
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        found += splitter.feed(body[start:end])
    found += splitter.finish()
    assert [value.decode() for value in found] == values


def test_single_values_end_at_white_space_or_the_end() -> None:
    splitter = JsonSplitter(1000)
    assert [*splitter.feed(b"1 tr"), *splitter.feed(b"ue "), *splitter.feed(b"12"), *splitter.finish()] == [
        b"1",
        b"true",
        b"12",
    ]


def test_a_set_that_cannot_be_read_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(DescriptorSetInvalid, match=str(tmp_path)):
        build_app(RestSettings(descriptor_set=tmp_path))
