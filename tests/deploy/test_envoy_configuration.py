"""The rendered configuration itself: valid, and derived from the contract."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from parley.access.v1 import access_pb2

from deploy.envoy.contract import RestPath, load_descriptors, read_rpcs
from deploy.envoy.mesh_tls import write_secrets
from deploy.envoy.render import limited_paths, main, render, rest_rules
from deploy.envoy.settings import EnvoySettings
from deploy.local.envoy import find_program


def contract(**rpcs: tuple[int, str, str]) -> FileDescriptorSet:
    """Return descriptors of one service `parley.toys.v1.ToyService`: name -> (level, HTTP method, path)."""
    file = FileDescriptorProto(name="parley/toys/v1/toy_service.proto", package="parley.toys.v1")
    service = file.service.add(name="ToyService")
    for name, (level, method, path) in rpcs.items():
        rpc = service.method.add(name=name, input_type=".parley.toys.v1.Toy", output_type=".parley.toys.v1.Toy")
        rpc.options.Extensions[access_pb2.access].level = level  # type: ignore[assignment]
        if path:
            setattr(rpc.options.Extensions[annotations_pb2.http], method, path)
    return FileDescriptorSet(file=[file])


def validate(text: str, folder: Path) -> str:
    """Return what `envoy --mode validate` says; fails when it refuses."""
    file = folder / "envoy.yaml"
    file.write_text(text)
    command = [find_program(), "--mode", "validate", "-l", "warn", "-c", str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("environment", ["development", "production"])
def test_envoy_accepts_it(tmp_path: Path, environment: Any) -> None:
    settings = EnvoySettings(
        environment=environment,
        cors_origins=("https://app.example",) if environment == "production" else (),
        capabilities={"identity": "identity.internal:50051"},
        health_checks=environment == "production",
        access_log=str(tmp_path / "access.log"),
    )
    assert "eprecated" not in validate(render(settings, load_descriptors()), tmp_path)


def test_envoy_accepts_several_hosts(tmp_path: Path) -> None:
    settings = EnvoySettings(
        services="10.0.0.1:50051, 10.0.0.2:50051",
        capabilities={"identity": "identity-a.internal:50051,identity-b.internal:50051"},
        rest="10.0.0.1:8081,10.0.0.2:8081",
        websocket="10.0.0.1:8091,10.0.0.2:8091",
        mesh_certificates="certificates",
        mesh_secrets=str(tmp_path),
    )
    text = render(settings, load_descriptors())
    clusters = {one["name"]: one for one in yaml.safe_load(text)["static_resources"]["clusters"]}
    assert all(len(one["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 2 for one in clusters.values())
    assert (clusters["identity"]["type"], clusters["bots"]["type"]) == ("STRICT_DNS", "STATIC")
    assert {name for name, one in clusters.items() if "health_checks" not in one} == {"rest", "websocket"}
    write_secrets("certificates", tmp_path)
    assert "eprecated" not in validate(text, tmp_path)


def test_envoy_accepts_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "edge.pem", tmp_path / "edge.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=edge.test", "-days", "1"),
        ],
        check=True,
        capture_output=True,
    )
    text = render(EnvoySettings(tls_certificate=str(certificate), tls_key=str(key)), load_descriptors())
    assert "strict-transport-security" in text
    validate(text, tmp_path)


def test_a_new_rpc_needs_no_edit(tmp_path: Path) -> None:
    descriptors = contract(
        Show=(access_pb2.LEVEL_PUBLIC, "get", "/api/v1/toys/{id}"),
        Mend=(access_pb2.LEVEL_SIGNED_IN, "post", "/api/v1/toys/{id}:mend"),
        Count=(access_pb2.LEVEL_SERVICE, "get", ""),
    )
    text = render(EnvoySettings(), descriptors)
    validate(text, tmp_path)
    edge, mesh = yaml.safe_load(text)["static_resources"]["listeners"]
    outside, inside = (_routes(listener) for listener in (edge, mesh))
    assert outside["/parley.toys.v1.ToyService/Count"] == {"status": 404}
    assert outside["/parley.toys.v1."]["cluster"] == inside["/parley.toys.v1."]["cluster"] == "toys"
    assert "/parley.toys.v1.ToyService/Count" not in inside
    assert "toys" in [cluster["name"] for cluster in yaml.safe_load(text)["static_resources"]["clusters"]]


def test_a_private_path_stays_private_beside_a_public_template() -> None:
    descriptors = contract(
        Show=(access_pb2.LEVEL_PUBLIC, "get", "/api/v1/toys/{id}"),
        ShowMine=(access_pb2.LEVEL_SIGNED_IN, "get", "/api/v1/toys/mine"),
        Other=(access_pb2.LEVEL_SIGNED_IN, "get", "/api/v1/games"),
    )
    rules = rest_rules(read_rpcs(descriptors))
    assert [(path.template, is_public) for path, is_public in rules] == [
        ("/api/v1/toys/mine", False),
        ("/api/v1/toys/{id}", True),
    ]


def test_a_path_keeps_its_limit_beside_a_template_that_has_another() -> None:
    descriptors = contract(
        Show=(access_pb2.LEVEL_PUBLIC, "get", "/api/v1/toys/{id}"),
        ShowMine=(access_pb2.LEVEL_SIGNED_IN, "get", "/api/v1/toys/mine"),
        Paint=(access_pb2.LEVEL_SIGNED_IN, "post", "/api/v1/toys:paint"),
        Other=(access_pb2.LEVEL_SIGNED_IN, "get", "/api/v1/games"),
    )
    descriptors.file[0].service[0].method[2].options.Extensions[access_pb2.max_request_bytes] = 2_000_000
    limits = limited_paths(read_rpcs(descriptors))
    assert [(path.template, most) for path, most in limits] == [
        ("/api/v1/toys/mine", 1024 * 1024),
        ("/api/v1/toys/{id}", 64 * 1024),
        ("/api/v1/toys:paint", 2_000_000),
    ]


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("/api/v1/auth/login", "/api/v1/auth/login"),
        ("/v1/{id}", "/v1/[^/:]+"),
        ("/v1/{id}/parts/{part}:mend", "/v1/[^/]+/parts/[^/]+:mend"),
        ("/v1/{name=shelves/*/books/*}", "/v1/shelves/[^/]+/books/[^/:]+"),
        ("/v1/{name=files/**}:copy", "/v1/files/.*:copy"),
        ("/.well-known/a.json", r"/\.well\-known/a\.json"),
    ],
)
def test_templates_become_patterns(template: str, pattern: str) -> None:
    assert RestPath("GET", template).pattern == pattern


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    output = tmp_path / "envoy.yaml"
    assert main(["--edge=0.0.0.0:8443", "--cors-origins=https://a.test,https://b.test", f"--output={output}"]) == 0
    text = output.read_text()
    assert yaml.safe_load(text)["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] == 8443
    assert r"https://b\\.test" in text


def _routes(listener: dict[str, Any]) -> dict[str, dict[str, Any]]:
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    return {
        route["match"].get("path") or route["match"].get("prefix") or "regex": route.get("route")
        or route["direct_response"]
        for route in routes
    }
