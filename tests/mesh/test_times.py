"""Times at the ends of the calendar, and beyond it, are answered or named; none is an internal error."""

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from parley.identity.v1.audit_service_pb2 import ListAuditEventsRequest
from parley.identity.v1.audit_service_pb2_grpc import AuditServiceStub
from parley.operations.v1.schedule_service_pb2 import PreviewScheduleRequest
from parley.operations.v1.schedule_service_pb2_grpc import ScheduleServiceStub

from tests.support.callers import Person

_BEYOND = [Timestamp(seconds=10**15), Timestamp(seconds=-(10**15)), Timestamp(nanos=-1), Timestamp(nanos=10**9)]


@pytest.mark.parametrize("after", ["0001-01-01T00:00:00Z", "0001-01-02T11:00:00Z", "1969-12-31T23:59:59.999999999Z"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Ho_Chi_Minh", "America/Los_Angeles"])
async def test_a_schedule_is_previewed_from_the_first_day_of_the_calendar(admin: Person, after: str, zone: str) -> None:
    fields = {"cron": "0 9 * * *", "timeZone": zone, "afterTime": after, "count": 3}
    found = (await admin.post("/api/v1/admin/schedules:preview", **fields))["times"]
    assert len(found) == 3
    assert found == sorted(found)


@pytest.mark.parametrize(("after", "count"), [("9999-12-31T23:59:59Z", 0), ("9999-12-31T09:30:00Z", 14)])
async def test_a_schedule_ends_with_the_calendar(admin: Person, after: str, count: int) -> None:
    fields = {"cron": "0 * * * *", "afterTime": after, "count": 50}
    assert len((await admin.post("/api/v1/admin/schedules:preview", **fields))["times"]) == count


@pytest.mark.parametrize("beyond", _BEYOND, ids=str)
async def test_what_is_no_time_is_named(admin: Person, beyond: Timestamp) -> None:
    preview = ScheduleServiceStub(admin.edge.channel).PreviewSchedule
    audit = AuditServiceStub(admin.edge.channel).ListAuditEvents
    for call in (
        preview(PreviewScheduleRequest(cron="* * * * *", after_time=beyond), metadata=admin.metadata),
        audit(ListAuditEventsRequest(start_time=beyond), metadata=admin.metadata),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "_time" in (raised.value.details() or "")
