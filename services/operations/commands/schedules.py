"""The command `parley schedules`."""

import argparse
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from parley.operations.v1 import schedule_pb2
from parley.operations.v1 import schedule_service_pb2 as pb
from parley.operations.v1.schedule_service_pb2_grpc import ScheduleServiceStub

from services.chassis.timestamps import timestamp
from services.operations.commands.edge import Edge, UsageError
from services.operations.commands.showing import fields_of, plain, table_of, time_text

_POLICIES = {
    "once": schedule_pb2.MISSED_RUN_POLICY_FIRE_ONCE,
    "skip": schedule_pb2.MISSED_RUN_POLICY_SKIP,
    "all": schedule_pb2.MISSED_RUN_POLICY_FIRE_ALL,
}
_NAMES = {value: name for name, value in _POLICIES.items()}
_FIRES = 10


def run(edge: Edge, options: argparse.Namespace) -> int:
    """Do what `options.action` says and return the exit code. Raises UsageError, grpc.RpcError."""
    stub = ScheduleServiceStub(edge.channel)
    match options.action:
        case "list":
            _list(edge, stub, options.limit)
        case "show":
            _show(edge, stub, options.id)
        case "create":
            _told(edge, edge.call(stub.CreateSchedule, _wanted(options)).schedule, "made")
        case "pause":
            _told(
                edge, edge.call(stub.PauseSchedule, pb.PauseScheduleRequest(schedule_id=options.id)).schedule, "rests"
            )
        case "resume":
            answer = edge.call(stub.ResumeSchedule, pb.ResumeScheduleRequest(schedule_id=options.id))
            _told(edge, answer.schedule, "goes on")
        case "run":
            fire = edge.call(stub.RunSchedule, pb.RunScheduleRequest(schedule_id=options.id)).fire
            if edge.as_json:
                edge.print_json(fire)
            else:
                edge.console.print(f"{options.id} started: message {fire.id}")
        case _:
            answer = edge.call(stub.DeleteSchedule, pb.DeleteScheduleRequest(schedule_id=options.id))
            if edge.as_json:
                edge.print_json(answer)
            else:
                edge.console.print(f"{options.id} deleted")
    return 0


def _list(edge: Edge, stub: ScheduleServiceStub, limit: int) -> None:
    found = list(edge.pages(stub.ListSchedules, pb.ListSchedulesRequest(), "schedules", limit))
    if edge.as_json:
        edge.print_json(found)
        return
    table = table_of("id", "name", "when", "starts", "next")
    for one in found:
        starts = f"{one.target.queue}:{one.target.actor}"
        table.add_row(one.id, plain(one.name), plain(_when(one)), plain(starts), _next(one))
    edge.console.print(table if found else "No schedules.")


def _show(edge: Edge, stub: ScheduleServiceStub, schedule_id: str) -> None:
    one = edge.call(stub.GetSchedule, pb.GetScheduleRequest(schedule_id=schedule_id)).schedule
    if edge.as_json:
        edge.print_json(one)
        return
    edge.console.print(
        fields_of(
            id=one.id,
            name=one.name or "-",
            when=_when(one),
            starts=f"{one.target.queue}:{one.target.actor}",
            payload=one.target.payload,
            missed_times=_NAMES[one.missed_run_policy],
            next=_next(one),
            made=f"{time_text(one, 'create_time')} by {one.created_by}",
        )
    )
    request = pb.ListScheduleFiresRequest(schedule_id=schedule_id)
    fires = list(edge.pages(stub.ListScheduleFires, request, "fires", _FIRES))
    if fires:
        table = table_of("due", "fired", "why", "message")
        for fire in fires:
            why = "by hand" if fire.kind == schedule_pb2.FIRE_KIND_MANUAL else "due"
            table.add_row(time_text(fire, "due_time"), time_text(fire, "fire_time"), why, fire.id)
        edge.console.print()
        edge.console.print(table)


def _wanted(options: argparse.Namespace) -> pb.CreateScheduleRequest:
    schedule = schedule_pb2.Schedule(
        name=options.name,
        cron=options.cron,
        time_zone=options.time_zone,
        once_time=_stamp(options.once),
        target=schedule_pb2.ScheduleTarget(queue=options.queue, actor=options.actor, payload=options.payload),
        missed_run_policy=_POLICIES[options.missed],
        catch_up_limit=options.catch_up,
    )
    return pb.CreateScheduleRequest(schedule=schedule)


def _stamp(text: str) -> Timestamp | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--once: {text} is no time such as 2027-01-31T12:00:00Z") from None
    return timestamp(at.astimezone(UTC))


def _when(schedule: schedule_pb2.Schedule) -> str:
    return f"{schedule.cron} {schedule.time_zone}" if schedule.cron else f"once, {time_text(schedule, 'once_time')}"


def _next(schedule: schedule_pb2.Schedule) -> str:
    return "rests" if schedule.paused else time_text(schedule, "next_time")


def _told(edge: Edge, schedule: schedule_pb2.Schedule, what: str) -> None:
    if edge.as_json:
        edge.print_json(schedule)
    else:
        edge.console.print(f"{schedule.id} {what}; next: {_next(schedule)}")
