"""Every RPC says who may call it, where REST finds it, what it does and how much it takes; and somebody serves it."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from parley.access.v1 import access_pb2
from parley.validation.v1 import validation_pb2

from adapters.rest.annotations import max_request_bytes
from services.chassis.method_options import AccessRuleMissing, access_rules
from services.chassis.resources import open_resources
from services.chassis.settings import ChassisSettings
from services.registry import CAPABILITIES, assemble
from tests.architecture.house import ROOT, Rpc, contract, fields_below, files, rpcs

_OPEN_LEVELS = (access_pb2.LEVEL_PUBLIC, access_pb2.LEVEL_SIGNED_IN, access_pb2.LEVEL_ROLES)
# Fields of a resource that a client may send but that nobody reads.
_IGNORED = re.compile(r"(Set by the server|Cannot be changed here)\.$")


def test_the_contract_is_not_empty() -> None:
    assert {rpc.capability for rpc in rpcs()} == set(CAPABILITIES)


def test_every_rpc_says_who_may_call_it() -> None:
    assert [rpc.name for rpc in rpcs() if rpc.level == access_pb2.LEVEL_UNSPECIFIED] == []


def test_an_rpc_is_either_routed_or_for_services_only() -> None:
    without = [rpc.name for rpc in rpcs() if not rpc.routes and rpc.level != access_pb2.LEVEL_SERVICE]
    exposed = [rpc.name for rpc in rpcs() if rpc.routes and rpc.level == access_pb2.LEVEL_SERVICE]
    assert without == []
    assert exposed == []


def test_every_rpc_is_explained() -> None:
    assert [rpc.name for rpc in rpcs() if not rpc.comment.strip()] == []


@pytest.mark.parametrize("rpc", rpcs(), ids=lambda rpc: rpc.name)
def test_a_servicer_implements_the_rpc(rpc: Rpc) -> None:
    file = rpc.method.containing_service.file.name
    generated = import_module(file.removesuffix(".proto").replace("/", ".") + "_pb2_grpc")
    base = getattr(generated, f"{rpc.method.containing_service.name}Servicer")
    servicers = [
        value
        for value in vars(import_module(f"services.{rpc.capability}.servicer")).values()
        if isinstance(value, type) and issubclass(value, base) and value is not base
    ]
    assert len(servicers) == 1, f"{rpc.capability}/servicer.py has {len(servicers)} subclasses of {base.__name__}"
    assert getattr(servicers[0], rpc.method.name) is not getattr(base, rpc.method.name)


async def test_the_wiring_serves_the_whole_contract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PARLEY_INFERENCE_PROVIDER", "scripted")
    monkeypatch.chdir(tmp_path)
    settings = ChassisSettings(home=tmp_path, secret="s" * 32)  # type: ignore[arg-type]
    async with open_resources(settings, "test") as resources:
        modules = await assemble(list(CAPABILITIES), resources)
        served = [item.full_name for module in modules for item in module.served]
        for module in modules:
            await module.close()
    assert sorted(served) == sorted(contract().service_names())


def _unlimited(field: FieldDescriptor) -> str:
    limits = field.GetOptions().Extensions[validation_pb2.limits]
    if field.is_repeated and not limits.max_items:
        return "max_items"
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    is_text = is_map or field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
    bounded = limits.max_length or limits.max_bytes or limits.format == validation_pb2.FORMAT_UUID
    return "max_length, max_bytes or format" if is_text and not bounded else ""


@pytest.mark.parametrize("rpc", [rpc for rpc in rpcs() if rpc.level in _OPEN_LEVELS], ids=lambda rpc: rpc.name)
def test_what_strangers_send_has_limits(rpc: Rpc) -> None:
    comments = contract().comments
    wrong = [
        f"{path} needs {missing}"
        for path, field in fields_below(rpc.method.input_type)
        if (missing := _unlimited(field)) and not _IGNORED.search(comments.get(field.full_name, "").strip())
    ]
    assert wrong == []


def _escaped_bytes(field: FieldDescriptor) -> int:
    """Return how long the largest value is in JSON when each of its characters is escaped (`\\u1ed9`)."""
    limits = field.GetOptions().Extensions[validation_pb2.limits]
    if field.type == FieldDescriptor.TYPE_BYTES:
        return limits.max_bytes * 4 // 3
    if max(limits.max_length, limits.max_bytes) > 1_000_000:
        # A document in JSON or YAML: quotes and line ends are escaped, and Cyrillic letters are by many libraries.
        return max(limits.max_length * 2, limits.max_bytes * 3)
    sizes = [size for size in (limits.max_bytes * 6, limits.max_length * 12) if size]
    return min(sizes, default=0)


@pytest.mark.parametrize("rpc", [rpc for rpc in rpcs() if rpc.level in _OPEN_LEVELS], ids=lambda rpc: rpc.name)
def test_the_largest_value_of_a_field_fits_into_a_request(rpc: Rpc) -> None:
    limit = max_request_bytes(rpc.method) or 0
    largest = [(_escaped_bytes(field), path) for path, field in fields_below(rpc.method.input_type)]
    assert max(largest, default=(0, ""))[0] + 4096 < limit


@pytest.mark.parametrize("rpc", [rpc for rpc in rpcs() if rpc.method.name.startswith("List")], ids=lambda rpc: rpc.name)
def test_lists_are_paged(rpc: Rpc) -> None:
    request, response = rpc.method.input_type.fields_by_name, rpc.method.output_type.fields_by_name
    assert {"page_size", "page_token"} <= set(request)
    assert "next_page_token" in response
    assert sum(field.is_repeated for field in response.values()) == 1


@pytest.mark.parametrize("rpc", rpcs(), ids=lambda rpc: rpc.name)
def test_the_rpc_is_tested(rpc: Rpc) -> None:
    # A part of a path is a word, or what an f-string puts there.
    part = r"(?:\\{[^}]*\\}|[^\\s\"'?{])+"
    routes = [re.sub(r"\\\{[^}]*\\\}", part, re.escape(route)) for route in rpc.routes]
    pattern = re.compile("|".join([rf"[./\"]{rpc.method.name}\b", *(rf"{route}(?=[\"'?\s])" for route in routes)]))
    assert any(pattern.search(text) for text in _tests()), f"no test calls {rpc.name}"


def _tests() -> list[str]:
    return [
        path.read_text()
        for path in files()
        if path.is_relative_to(ROOT / "tests") and path.suffix == ".py" and path.parent != Path(__file__).parent
    ]


def test_an_rpc_without_an_access_rule_stops_the_start() -> None:
    file = descriptor_pb2.FileDescriptorProto(
        name="architecture_test/no_rule.proto", package="architecture_test.v1", syntax="proto3"
    )
    file.message_type.add(name="Nothing")
    service = file.service.add(name="OpenDoor")
    for name in ("Walk", "Run"):
        service.method.add(
            name=name, input_type=".architecture_test.v1.Nothing", output_type=".architecture_test.v1.Nothing"
        )
    service.method[1].options.Extensions[access_pb2.access].level = access_pb2.LEVEL_SIGNED_IN
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    with pytest.raises(AccessRuleMissing, match=re.escape("/architecture_test.v1.OpenDoor/Walk")) as raised:
        access_rules(["architecture_test.v1.OpenDoor", "parley.identity.v1.AuthService"])
    assert "OpenDoor/Run" not in str(raised.value)
