"""The desk as it is wired, over real gRPC: who may, what is too much, and what each RPC answers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from parley.operations.v1 import action_service_pb2 as action_pb
from parley.operations.v1 import dead_letter_pb2 as dead_pb
from parley.operations.v1 import dead_letter_service_pb2 as letter_pb
from parley.operations.v1 import operation_service_pb2 as operation_pb
from parley.operations.v1 import schedule_pb2
from parley.operations.v1 import schedule_service_pb2 as schedule_pb
from parley.operations.v1.action_service_pb2_grpc import ActionServiceStub
from parley.operations.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from parley.operations.v1.operation_service_pb2_grpc import OperationServiceStub
from parley.operations.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from pydantic import SecretStr

from services.chassis.resources import open_resources
from services.chassis.serving import build_server
from services.chassis.settings import ChassisSettings
from services.operations.wiring import assemble
from tests.acceptance.operations.conftest import Desk, failed
from tests.acceptance.operations.test_replays import archive, run_all
from tests.services.chassis.key_server import AUDIENCE, ISSUER, running_key_server, token

ID = "0198b6d4-0000-7000-8000-000000000000"
OPERATOR = {"realm_access": {"roles": ["operator"]}}
TARGET = schedule_pb2.ScheduleTarget(queue="incoming")
DAILY = schedule_pb2.Schedule(cron="0 9 * * *", target=TARGET)


@dataclass
class Served:
    """The typed stubs, and the desk behind them."""

    desk: Desk
    letters: Any
    schedules: Any
    operations: Any
    actions: Any

    async def call(self, rpc: str, request: Message, **claims: Any) -> Any:
        """Call `stub.Rpc` as an operator, or as `claims` say."""
        stub, _, name = rpc.partition(".")
        shown = token(**{**OPERATOR, **claims})
        return await getattr(getattr(self, stub), name)(request, metadata=(("authorization", f"Bearer {shown}"),))

    async def refused(self, rpc: str, request: Message, **claims: Any) -> tuple[grpc.StatusCode, str, list[str]]:
        """Call what must be refused; return the status, the reason and the fields that are to blame."""
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await self.call(rpc, request, **claims)
        info, blamed = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        for detail in rpc_status.from_call(cast("Any", failure.value)).details:
            for message in (info, blamed):
                if detail.Is(message.DESCRIPTOR):
                    detail.Unpack(message)
        return failure.value.code(), info.reason, [violation.field for violation in blamed.field_violations]


@pytest.fixture
async def served(desk: Desk, desk_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    with running_key_server() as keys:
        settings = ChassisSettings(
            home=tmp_path,
            secret=SecretStr("s" * 32),
            database_url=SecretStr(desk_url),
            valkey_url=SecretStr(valkey_url),
            audience=AUDIENCE,
            issuer=ISSUER,
            jwks_url=keys.url,
        )
        async with open_resources(settings, "tests") as resources:
            module = await assemble(resources)
            server, _, _ = build_server([module], resources)
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Served(
                    desk,
                    DeadLetterServiceStub(channel),
                    ScheduleServiceStub(channel),
                    OperationServiceStub(channel),
                    ActionServiceStub(channel),
                )
            await server.stop(1)
            await module.close()


CALLS: list[tuple[str, Message]] = [
    ("letters.ListDeadLetters", letter_pb.ListDeadLettersRequest()),
    ("letters.GetDeadLetter", letter_pb.GetDeadLetterRequest(dead_letter_id=ID)),
    (
        "letters.UpdateDeadLetter",
        letter_pb.UpdateDeadLetterRequest(dead_letter_id=ID, dead_letter=dead_pb.DeadLetter(payload="{}")),
    ),
    ("letters.ReplayDeadLetter", letter_pb.ReplayDeadLetterRequest(dead_letter_id=ID)),
    ("letters.ReplayDeadLetters", letter_pb.ReplayDeadLettersRequest(dry_run=True)),
    ("letters.DiscardDeadLetter", letter_pb.DiscardDeadLetterRequest(dead_letter_id=ID)),
    ("schedules.CreateSchedule", schedule_pb.CreateScheduleRequest(schedule=DAILY)),
    ("schedules.ListSchedules", schedule_pb.ListSchedulesRequest()),
    ("schedules.GetSchedule", schedule_pb.GetScheduleRequest(schedule_id=ID)),
    ("schedules.UpdateSchedule", schedule_pb.UpdateScheduleRequest(schedule_id=ID, schedule=DAILY)),
    ("schedules.DeleteSchedule", schedule_pb.DeleteScheduleRequest(schedule_id=ID)),
    ("schedules.PauseSchedule", schedule_pb.PauseScheduleRequest(schedule_id=ID)),
    ("schedules.ResumeSchedule", schedule_pb.ResumeScheduleRequest(schedule_id=ID)),
    ("schedules.RunSchedule", schedule_pb.RunScheduleRequest(schedule_id=ID)),
    ("schedules.ListScheduleFires", schedule_pb.ListScheduleFiresRequest(schedule_id=ID)),
    ("schedules.PreviewSchedule", schedule_pb.PreviewScheduleRequest(cron="0 9 * * *")),
    ("operations.ListOperations", operation_pb.ListOperationsRequest()),
    ("operations.GetOperation", operation_pb.GetOperationRequest(operation_id=ID)),
    ("operations.CancelOperation", operation_pb.CancelOperationRequest(operation_id=ID)),
    ("operations.DeleteOperation", operation_pb.DeleteOperationRequest(operation_id=ID)),
    ("operations.WaitOperation", operation_pb.WaitOperationRequest(operation_id=ID)),
    ("actions.ListActions", action_pb.ListActionsRequest()),
]
_NAMED_BY_ID = {rpc for rpc, request in CALLS if any(field.name.endswith("_id") for field, _ in request.ListFields())}


async def test_only_admins_and_operators_may(served: Served) -> None:
    for rpc, request in CALLS:
        assert (await served.refused(rpc, request, realm_access={"roles": ["user"]}))[0] is (
            grpc.StatusCode.PERMISSION_DENIED
        ), rpc
        for role in ("admin", "operator"):
            if rpc in _NAMED_BY_ID:
                code, reason, _ = await served.refused(rpc, request, realm_access={"roles": [role]})
                assert (code, reason.endswith("_NOT_FOUND")) == (grpc.StatusCode.NOT_FOUND, True), rpc
            else:
                await served.call(rpc, request, realm_access={"roles": [role]})


def _schedule(**changes: Any) -> schedule_pb.CreateScheduleRequest:
    values: dict[str, Any] = {"cron": "0 9 * * *", "target": TARGET} | changes
    return schedule_pb.CreateScheduleRequest(schedule=schedule_pb2.Schedule(**values))


LIMITS: list[tuple[str, Message, str]] = [
    ("letters.ListDeadLetters", letter_pb.ListDeadLettersRequest(page_size=-1), "page_size"),
    ("letters.ListDeadLetters", letter_pb.ListDeadLettersRequest(page_token="x" * 1025), "page_token"),
    ("letters.ListDeadLetters", letter_pb.ListDeadLettersRequest(page_token="forged"), "page_token"),
    (
        "letters.ListDeadLetters",
        letter_pb.ListDeadLettersRequest(filter=dead_pb.DeadLetterFilter(text="x" * 201)),
        "filter.text",
    ),
    (
        "letters.ListDeadLetters",
        letter_pb.ListDeadLettersRequest(filter=dead_pb.DeadLetterFilter(queue="a\0")),
        "filter.queue",
    ),
    ("letters.GetDeadLetter", letter_pb.GetDeadLetterRequest(), "dead_letter_id"),
    ("letters.GetDeadLetter", letter_pb.GetDeadLetterRequest(dead_letter_id="1"), "dead_letter_id"),
    ("letters.UpdateDeadLetter", letter_pb.UpdateDeadLetterRequest(dead_letter_id=ID), "dead_letter"),
    (
        "letters.UpdateDeadLetter",
        letter_pb.UpdateDeadLetterRequest(dead_letter_id=ID, dead_letter=dead_pb.DeadLetter(payload="x" * 1048577)),
        "dead_letter.payload",
    ),
    ("letters.ReplayDeadLetters", letter_pb.ReplayDeadLettersRequest(rate_per_second=1001), "rate_per_second"),
    ("letters.ReplayDeadLetters", letter_pb.ReplayDeadLettersRequest(rate_per_second=-1), "rate_per_second"),
    ("letters.ReplayDeadLetters", letter_pb.ReplayDeadLettersRequest(request_id="1"), "request_id"),
    ("schedules.CreateSchedule", schedule_pb.CreateScheduleRequest(), "schedule"),
    ("schedules.CreateSchedule", _schedule(name="x" * 201), "schedule.name"),
    ("schedules.CreateSchedule", _schedule(time_zone="x" * 65), "schedule.time_zone"),
    ("schedules.CreateSchedule", _schedule(catch_up_limit=-1), "schedule.catch_up_limit"),
    ("schedules.CreateSchedule", _schedule(target=None), "target"),
    ("schedules.CreateSchedule", _schedule(cron="0 9 * *"), "cron"),
    (
        "schedules.CreateSchedule",
        _schedule(target=schedule_pb2.ScheduleTarget(queue="incoming", payload="x" * 65537)),
        "schedule.target.payload",
    ),
    ("schedules.PreviewSchedule", schedule_pb.PreviewScheduleRequest(), "cron"),
    ("schedules.PreviewSchedule", schedule_pb.PreviewScheduleRequest(cron="* * * * *", count=101), "count"),
    ("schedules.PreviewSchedule", schedule_pb.PreviewScheduleRequest(cron="* * * * *", time_zone="no"), "time_zone"),
    ("actions.ListActions", action_pb.ListActionsRequest(subject_id="1"), "subject_id"),
]


async def test_what_is_wrong_is_named(served: Served) -> None:
    for rpc, request, field in LIMITS:
        code, _, fields = await served.refused(rpc, request)
        assert (code, fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field]), (rpc, field)


async def test_a_letter_from_the_list_to_the_log(served: Served) -> None:
    await archive(served.desk, failed(1), failed(2, queue="odd"))
    chosen = dead_pb.DeadLetterFilter(queue="odd", state=dead_pb.DEAD_LETTER_STATE_OPEN)
    listed = await served.call("letters.ListDeadLetters", letter_pb.ListDeadLettersRequest(filter=chosen))
    (brief,) = listed.dead_letters
    assert (brief.queue, brief.payload, brief.traceback) == ("odd", "", "")
    asked = letter_pb.GetDeadLetterRequest(dead_letter_id=brief.id)
    whole = (await served.call("letters.GetDeadLetter", asked)).dead_letter
    assert (whole.payload, whole.traceback, whole.attempts) == ('{"number": 2}', "Traceback …", 9)
    assert whole.fail_time.ToSeconds() == whole.first_fail_time.ToSeconds() > 0
    assert not whole.HasField("close_time")
    edit = letter_pb.UpdateDeadLetterRequest(
        dead_letter_id=brief.id, dead_letter=dead_pb.DeadLetter(payload="{}", etag=whole.etag, queue="ignored")
    )
    changed = (await served.call("letters.UpdateDeadLetter", edit, sub="ann")).dead_letter
    assert (changed.payload, changed.queue) == ("{}", "odd")
    assert (await served.refused("letters.UpdateDeadLetter", edit))[:2] == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    edit.update_mask.paths.append("queue")
    assert (await served.refused("letters.UpdateDeadLetter", edit))[1] == "FIELD_NOT_UPDATABLE"
    replay = letter_pb.ReplayDeadLetterRequest(dead_letter_id=brief.id)
    assert (await served.call("letters.ReplayDeadLetter", replay, sub="bob")).dead_letter.closed_by == "bob"
    for again in ("ReplayDeadLetter", "DiscardDeadLetter"):
        request = getattr(letter_pb, f"{again}Request")(dead_letter_id=brief.id)
        refused = await served.refused(f"letters.{again}", request)
        assert refused[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "DEAD_LETTER_CLOSED")
    log = await served.call("actions.ListActions", action_pb.ListActionsRequest(subject_id=brief.id))
    assert [(action.verb, action.actor_id) for action in log.actions] == [("replay", "bob"), ("update", "ann")]


async def test_a_long_replay_over_grpc(served: Served) -> None:
    await archive(served.desk, *[failed(number) for number in range(3)])
    begun = await served.call("letters.ReplayDeadLetters", letter_pb.ReplayDeadLettersRequest(rate_per_second=1000))
    operation_id = begun.name.removeprefix("operations/")
    metadata = letter_pb.ReplayDeadLettersMetadata()
    assert begun.metadata.Unpack(metadata)
    assert (begun.done, metadata.total, metadata.replayed) == (False, 3, 0)
    soon = operation_pb.WaitOperationRequest(operation_id=operation_id, timeout=Duration(nanos=1))
    assert not (await served.call("operations.WaitOperation", soon)).done
    waiting = asyncio.create_task(
        served.call("operations.WaitOperation", operation_pb.WaitOperationRequest(operation_id=operation_id))
    )
    await run_all(served.desk)
    result = letter_pb.ReplayDeadLettersResult()
    assert (await waiting).response.Unpack(result)
    assert (result.total, result.replayed) == (3, 3)
    listed = await served.call("operations.ListOperations", operation_pb.ListOperationsRequest())
    assert [one.name for one in listed.operations] == [begun.name]


async def test_a_cancelled_replay_ends_with_an_error(served: Served) -> None:
    await archive(served.desk, failed(1))
    begun = await served.call("letters.ReplayDeadLetters", letter_pb.ReplayDeadLettersRequest())
    operation_id = begun.name.removeprefix("operations/")
    await served.call("operations.CancelOperation", operation_pb.CancelOperationRequest(operation_id=operation_id))
    await run_all(served.desk)
    ended = await served.call("operations.GetOperation", operation_pb.GetOperationRequest(operation_id=operation_id))
    assert (ended.done, ended.error.code, ended.error.message) == (True, 1, "cancelled")
    await served.call("operations.DeleteOperation", operation_pb.DeleteOperationRequest(operation_id=operation_id))
    assert await served.desk.sent() == []
