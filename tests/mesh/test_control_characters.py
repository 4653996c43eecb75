"""No stranger's string gets past the border unchecked: every string of every RPC, over gRPC, REST and WebSocket."""

import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.rpc import error_details_pb2, status_pb2
from parley.access.v1 import access_pb2
from websockets.asyncio.client import connect

from services.chassis.remote_errors import reason_of
from tests.mesh import contract
from tests.support.callers import Edge, Person, refusal
from tests.support.running_mesh import RunningMesh
from tests.support.string_fields import places

METHODS = [method for method in contract.methods() if contract.level(method) != access_pb2.LEVEL_SERVICE]
UNARY = [method for method in METHODS if not method.client_streaming]
IN_PATHS = [
    (method, route, field)
    for method in METHODS
    for route in contract.routes(method)
    for field in method.input_type.fields
    if f"{{{field.name}}}" in route.template and field.type == FieldDescriptor.TYPE_STRING
]
SECONDS = 10.0


@pytest.fixture(scope="module")
async def somebody(edge: Edge, admin: Person) -> Person:
    """Somebody who may call everything."""
    person = await edge.register()
    for role in ("admin", "operator", "auditor"):
        await admin.post(f"/api/v1/admin/users/{person.id}/roles", role=role)
    return await edge.person(person.user["email"])


async def failure(edge: Edge, method: MethodDescriptor, request: bytes, person: Person) -> grpc.aio.AioRpcError:
    """Call an RPC with bytes as they are, and return how it failed."""
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    call: Any = getattr(edge.channel, kind)(contract.path(method))
    asked = call([request] if method.client_streaming else request, metadata=person.metadata, timeout=SECONDS)
    try:
        await (asked.read() if method.server_streaming else asked)
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(f"{contract.name(method)} was let in")


def fields_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Return the violations that an error tells of."""
    found: dict[str, str] = {}
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                bad = error_details_pb2.BadRequest()
                if detail.Unpack(bad):
                    found |= {one.field: one.description for one in bad.field_violations}
    return found


@pytest.mark.parametrize("method", METHODS, ids=contract.name)
async def test_nul_in_any_string_is_an_error_that_names_the_field(
    edge: Edge, somebody: Person, method: MethodDescriptor
) -> None:
    make = message_factory.GetMessageClass(method.input_type)
    for path, put in places(method.input_type):
        request = make()
        put(request, "a\0b")
        error = await failure(edge, method, request.SerializeToString(), somebody)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, (path, error)
        assert "U+0000" in fields_of(error).get(path, ""), (path, error)


@pytest.mark.parametrize("method", METHODS, ids=contract.name)
async def test_bytes_that_are_no_message_are_an_error_of_the_client(
    edge: Edge, somebody: Person, method: MethodDescriptor
) -> None:
    error = await failure(edge, method, b"\xff", somebody)
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED"), error


@pytest.mark.parametrize(
    ("method", "route", "field"), IN_PATHS, ids=lambda case: getattr(case, "template", getattr(case, "name", ""))
)
async def test_what_stands_in_a_path_is_held_to_the_same(
    somebody: Person, method: MethodDescriptor, route: contract.Route, field: FieldDescriptor
) -> None:
    for odd in ("%00", "a%0Ab", "a%0D%0Ab", "%C2%85", "%E2%80%A8", "%FF", "%ED%A0%80", "%1B"):
        path = route.template
        for name in method.input_type.fields_by_name:
            path = path.replace(f"{{{name}}}", odd if name == field.name else str(uuid4()))
        answer = await somebody.ask(route.method, path)
        assert answer.status_code in (400, 404), (odd, answer.text)
        assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("name", ["a\0b", "a\r\nBcc: x@example.org", "a\tb", "a\x85b", "a\u2028b", "a\u202eb", "a\x7f"])
async def test_a_name_is_one_line(edge: Edge, name: str) -> None:
    owner = await edge.register()
    answer = await owner.ask("POST", "/api/v1/organizations", json={"name": name})
    refusal(answer, 400, 3, field="name", reason="INVALID_FIELD")
    refusal(await owner.ask("PATCH", "/api/v1/users/me", json={"displayName": name}), 400, 3, field="user.display_name")


async def test_half_a_surrogate_pair_is_refused_in_json(edge: Edge) -> None:
    owner = await edge.register()
    for body in (r'{"name": "a\ud800"}', r'{"name": "\udc00\ud800"}', r'{"description": "\ud83d", "name": "a"}'):
        answer = await owner.ask(
            "POST", "/api/v1/organizations", content=body.encode(), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400, (body, answer.text)


async def test_lines_are_kept_in_what_has_lines(ada: Person) -> None:
    made = await ada.post("/api/v1/organizations", name="Trường 👩‍👩‍👧", description="one\r\n\ttwo\u2028three")
    assert (made["name"], made["description"]) == ("Trường 👩‍👩‍👧", "one\r\n\ttwo\u2028three")


@pytest.mark.parametrize(
    "header", ["idempotency-key", "if-match", "x-request-id", "last-event-id", "user-agent", "traceparent"]
)
@pytest.mark.parametrize("value", [b"\xff\xfe", "é".encode(), b"a\tb", b"x" * 4000, b"%00%0A", b"\xc2\x85"])
async def test_no_header_breaks_a_call(ada: Person, header: str, value: bytes) -> None:
    for method, path, body in (
        ("POST", "/api/v1/chat/conversations", {"title": "x"}),
        ("GET", "/api/v1/auth/sessions", None),
    ):
        answer = await ada.ask(method, path, json=body, headers={header: value})
        assert answer.status_code in (200, 400, 412), answer.text


@pytest.mark.parametrize("token", ["\0", "é", "a\nb", "😀", "." * 1024, "null", "W10.AAAA"])
async def test_a_page_token_is_ours_or_refused(ada: Person, token: str) -> None:
    for path in ("/api/v1/chat/conversations", "/api/v1/api-keys"):
        answer = await ada.ask("GET", f"{path}?pageToken={quote(token)}")
        refusal(answer, 400, 3, field="page_token")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"name": "a\0b"}, "name: must not contain the character U+0000"),
        ({"name": "a\u2028b"}, "name: must not contain the character U+2028"),
        ({"description": "a\x1bb", "name": "a"}, "description: must not contain the character U+001B"),
    ],
)
async def test_a_websocket_holds_strings_to_the_same(mesh: RunningMesh, ada: Person, data: Any, problem: str) -> None:
    create = "parley.identity.v1.OrganizationService/CreateOrganization"
    async with connect(f"ws://{mesh.address}/connection/websocket") as socket:
        await socket.send(json.dumps({"id": 1, "connect": {"token": ada.token}}))
        assert "connect" in json.loads(await socket.recv())
        await socket.send(json.dumps({"id": 2, "rpc": {"method": create, "data": data}}))
        error = json.loads(await socket.recv())["error"]
    assert error["code"] == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert problem in error["message"]
