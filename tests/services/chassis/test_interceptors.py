"""What happens around every RPC, in all four call shapes, on a real grpc.aio server."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence, Sized
from functools import partial
from uuid import UUID

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2
from parley.access.v1 import access_pb2
from structlog.testing import capture_logs

from services.chassis.caller import ANONYMOUS, Caller
from services.chassis.interceptors.authorization import missing
from services.chassis.method_options import Access
from services.chassis.remote_errors import reason_of
from tests.services.chassis.trial import SERVICE, SHAPES, Trial, running_trial
from tests.support.callers import eventually

_shapes = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    async with running_trial() as running:
        yield running


def _details(error: grpc.aio.AioRpcError) -> list[Any]:
    [binary] = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
    assert isinstance(binary, bytes)
    status = status_pb2.Status.FromString(binary)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return list(status.details)


def _info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    [info] = [detail for detail in _details(error) if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    read = error_details_pb2.ErrorInfo()
    info.Unpack(read)
    return read


def _sent_id(error: grpc.aio.AioRpcError) -> str:
    [found] = [str(value) for key, value in error.trailing_metadata() if key == "x-request-id"]
    return found


@_shapes
async def test_a_call_passes(trial: Trial, shape: str) -> None:
    answers = await trial.call(shape, "bread")
    assert {answer.item for answer in answers} == {"bread"}
    assert {answer.caller for answer in answers} == {"ann"}


@_shapes
async def test_an_expected_failure_has_its_status_and_exactly_one_error_info(trial: Trial, shape: str) -> None:
    error = await trial.failure(shape, "expected")
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "there is no bread left")
    assert len(_details(error)) == 1
    info = _info(error)
    assert (info.reason, info.domain, dict(info.metadata)) == ("SOLD_OUT", "trial.parley", {"item": "bread"})
    assert reason_of(error) == "SOLD_OUT"


@_shapes
async def test_an_unexpected_failure_tells_nothing_but_the_request_id(trial: Trial, shape: str) -> None:
    with capture_logs() as logs:
        error = await trial.failure(shape, "bug", metadata=(("x-request-id", "r-1"),))
        # The line of the call is written after its answer was sent.
        await eventually(partial(_logged, logs, 2), seconds=30, what="the line of the call")
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error, request id r-1")
    assert dict(_info(error).metadata) == {"request_id": "r-1"}
    assert "secret" not in repr(error)
    assert "secret" not in str(error.trailing_metadata())
    assert [entry["event"] for entry in logs] == ["rpc failed", "rpc"]
    assert logs[0]["exc_info"]
    assert logs[1]["code"] == "INTERNAL"


async def _logged(logs: Sized, count: int) -> bool:
    return len(logs) >= count


async def test_a_stream_may_fail_half_way(trial: Trial) -> None:
    call = trial.start("Down", "half")
    assert (await call.read()).item == "half"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert _info(raised.value).reason == "SOLD_OUT"


@_shapes
async def test_a_call_keeps_the_request_id_it_came_with(trial: Trial, shape: str) -> None:
    answers = await trial.call(shape, "bread", metadata=(("x-request-id", "Ab9._:-"),))
    assert {answer.request_id for answer in answers} == {"Ab9._:-"}
    assert _sent_id(await trial.failure(shape, "bug", metadata=(("x-request-id", "Ab9._:-"),))) == "Ab9._:-"


@_shapes
@pytest.mark.parametrize(
    "given", [(), (("x-request-id", ""),), (("x-request-id", "a b"),), (("x-request-id", "x" * 129),)]
)
async def test_a_call_without_a_good_request_id_gets_one(
    trial: Trial, shape: str, given: tuple[tuple[str, str], ...]
) -> None:
    made = _sent_id(await trial.failure(shape, "expected", metadata=given))
    assert UUID(made).version == 7


async def test_the_request_id_comes_back_with_an_answer(trial: Trial) -> None:
    call = trial.start("Unary", "bread", metadata=(("x-request-id", "r-2"),))
    await call
    assert ("x-request-id", "r-2") in list(await call.trailing_metadata())


@_shapes
@pytest.mark.parametrize(("item", "wrong"), [("", "is required"), ("eleven bags", "must have at most 10 characters")])
async def test_no_servicer_sees_a_request_that_breaks_a_limit(trial: Trial, shape: str, item: str, wrong: str) -> None:
    error = await trial.failure(shape, item)
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, f"item: {wrong}")
    info, bad_request = _details(error)
    assert _info(error).reason == "INVALID_FIELD"
    assert _info(error).metadata == {"field": "item"}
    read = error_details_pb2.BadRequest()
    assert bad_request.Unpack(read)
    assert [(one.field, one.description) for one in read.field_violations] == [("item", wrong)]
    assert info.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)
    assert trial.servicer.seen == []


@pytest.mark.parametrize("shape", ["Up", "Both"])
async def test_every_request_of_a_stream_is_held_against_the_limits(trial: Trial, shape: str) -> None:
    error = await trial.failure(shape, "bread", "", "wine")
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert trial.servicer.seen == ["bread"]


@_shapes
@pytest.mark.parametrize(
    "authorization", ["", "nobody", "Basic YTpi", "Bearer", "Bearer  ", "bearer nobody", "annBearer ann"]
)
async def test_strangers_are_turned_away(trial: Trial, shape: str, authorization: str) -> None:
    metadata = (("authorization", authorization),) if authorization else ()
    # The request is wrong too: strangers learn nothing about fields.
    error = await trial.failure(shape, "", token="", metadata=metadata)
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert _info(error).reason == "UNAUTHENTICATED"
    assert trial.servicer.seen == []


@pytest.mark.parametrize(
    ("method", "token", "code"),
    [
        ("Open", "", None),
        ("Open", "nobody", None),
        ("Open", "ann", None),
        ("Unary", "ann", None),
        ("Unary", "worker", grpc.StatusCode.PERMISSION_DENIED),
        ("Desk", "ann", grpc.StatusCode.PERMISSION_DENIED),
        ("Desk", "root", None),
        ("Desk", "worker", grpc.StatusCode.PERMISSION_DENIED),
        ("Inside", "ann", grpc.StatusCode.PERMISSION_DENIED),
        ("Inside", "root", grpc.StatusCode.PERMISSION_DENIED),
        ("Inside", "worker", None),
        ("Inside", "", grpc.StatusCode.UNAUTHENTICATED),
    ],
)
async def test_the_access_rule_of_the_rpc_decides(
    trial: Trial, method: str, token: str, code: grpc.StatusCode | None
) -> None:
    if code is None:
        assert [answer.item for answer in await trial.call(method, "bread", token=token)] == ["bread"]
    else:
        assert (await trial.failure(method, "bread", token=token)).code() == code


@pytest.mark.parametrize(
    ("level", "caller", "needed"),
    [
        (access_pb2.LEVEL_PUBLIC, ANONYMOUS, ""),
        (access_pb2.LEVEL_SIGNED_IN, ANONYMOUS, "a signed-in user"),
        (access_pb2.LEVEL_SIGNED_IN, Caller(user_id="u"), ""),
        (access_pb2.LEVEL_SIGNED_IN, Caller(service="s"), "a signed-in user"),
        (access_pb2.LEVEL_ROLES, Caller(user_id="u"), "the role admin or owner"),
        (access_pb2.LEVEL_ROLES, Caller(user_id="u", roles=frozenset({"owner", "x"})), ""),
        (access_pb2.LEVEL_ROLES, Caller(service="s"), "the role admin or owner"),
        (access_pb2.LEVEL_SERVICE, Caller(user_id="u", roles=frozenset({"admin"})), "one of Parley's own services"),
        (access_pb2.LEVEL_SERVICE, Caller(service="s"), ""),
        (access_pb2.LEVEL_UNSPECIFIED, Caller(user_id="u", service="s"), "an access rule"),
        (99, Caller(user_id="u", service="s"), "an access rule"),
    ],
)
def test_what_a_caller_lacks(level: int, caller: Caller, needed: str) -> None:
    assert missing(Access(level, frozenset({"admin", "owner"})), caller) == needed


_A_ROLE = "the role admin or owner"
_A_SERVICE = "the service bots or tools"


@pytest.mark.parametrize(
    ("access", "caller", "needed"),
    [
        (Access(access_pb2.LEVEL_ROLES, frozenset({"admin", "owner"})), Caller("u", roles=frozenset({"x"})), _A_ROLE),
        (Access(access_pb2.LEVEL_SERVICE, services=frozenset({"bots", "tools"})), Caller(service="tools"), ""),
        (Access(access_pb2.LEVEL_SERVICE, services=frozenset({"bots", "tools"})), Caller(service="x"), _A_SERVICE),
    ],
)
def test_another_role_and_another_service_are_not_enough(access: Access, caller: Caller, needed: str) -> None:
    assert missing(access, caller) == needed


@pytest.mark.parametrize(
    ("scope", "scopes", "needed"),
    [
        ("chat.read", {"chat.read"}, ""),
        ("chat.read", {"chat.write"}, "an API key with the scope chat.read"),
        ("chat.read", set(), "an API key with the scope chat.read"),
        ("", {"chat.read"}, "a user's own token: it takes no API key"),
    ],
)
def test_an_api_key_does_what_its_scopes_name(scope: str, scopes: set[str], needed: str) -> None:
    key = Caller(user_id="u", api_key_id="k", scopes=frozenset(scopes))
    assert missing(Access(access_pb2.LEVEL_SIGNED_IN, scope=scope), key) == needed


@pytest.mark.parametrize(
    ("token", "method", "needed"),
    [
        ("mia", "Keep", "the role admin in the organization"),
        ("mia", "Close", "the role owner in the organization"),
        ("adam", "Keep", ""),
        ("adam", "Close", "the role owner in the organization"),
        ("olga", "Keep", ""),
        ("olga", "Close", ""),
        # Who acts for no organisation is alone with what they have.
        ("ann", "Keep", ""),
        ("ann", "Close", ""),
        ("mia", "Unary", ""),
    ],
)
async def test_a_role_in_the_organization_is_asked_for(trial: Trial, token: str, method: str, needed: str) -> None:
    if not needed:
        assert await trial.call(method, "bread", token=token)
        return
    error = await trial.failure(method, "bread", token=token)
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert needed in str(error.details())


@_shapes
async def test_a_call_that_ran_out_of_time_is_logged_and_released(trial: Trial, shape: str) -> None:
    with capture_logs() as logs:
        error = await trial.failure(shape, "hang", timeout=1.0)
        await asyncio.wait_for(trial.servicer.released.wait(), 30)
        await trial.call("Unary", "bread")
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    _check_log(logs, shape)


@_shapes
async def test_a_cancelled_call_is_logged_and_released(trial: Trial, shape: str) -> None:
    with capture_logs() as logs:
        call = trial.start(shape, "hang")
        running = asyncio.ensure_future(call.read() if SHAPES[shape][1] else _awaited(call))
        await asyncio.wait_for(trial.servicer.hanging.wait(), 5)
        call.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.wait_for(trial.servicer.released.wait(), 5)
        await trial.call("Unary", "bread")
    _check_log(logs, shape)


async def _awaited(call: grpc.aio.UnaryUnaryCall[object, object]) -> object:
    return await call


def _check_log(logs: Sequence[Mapping[str, object]], shape: str) -> None:
    assert [entry["event"] for entry in logs] == ["rpc", "rpc"]
    broken, whole = logs
    assert (broken["method"], broken["code"]) == (f"/{SERVICE}/{shape}", "CANCELLED")
    assert (whole["method"], whole["code"]) == (f"/{SERVICE}/Unary", "OK")
    assert {entry["user_id"] for entry in logs} == {"ann"}


@_shapes
async def test_a_control_character_names_its_field(trial: Trial, shape: str) -> None:
    error = await trial.failure(shape, "a\0b")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "item: must not contain the character U+0000 (at position 2)"
    assert trial.servicer.seen == []


@_shapes
@pytest.mark.parametrize("data", [b"\x0a\x02\xff\xfe", b"\x0a\x03\xed\xa0\x80", b"\xff"])
async def test_bytes_that_are_no_message_are_an_error_of_the_client(trial: Trial, shape: str, data: bytes) -> None:
    error = await trial.failure(shape, data)
    assert (error.code(), _info(error).reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")
    assert (await trial.failure(shape, data, token="")).code() is grpc.StatusCode.UNAUTHENTICATED
    assert trial.servicer.seen == []
