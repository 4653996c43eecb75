"""Between the messages of the contract and the dataclasses of the rules."""

import json
from datetime import UTC, datetime
from uuid import UUID

from google.longrunning import operations_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2
from parley.operations.v1 import action_service_pb2 as action_pb
from parley.operations.v1 import dead_letter_pb2 as letter_pb
from parley.operations.v1 import dead_letter_service_pb2 as letters_pb
from parley.operations.v1 import schedule_pb2

from services.chassis.etags import etag_of
from services.chassis.timestamps import time_in, timestamp
from services.operations.rules import (
    UPDATABLE,
    Action,
    DeadLetter,
    Fire,
    LetterFilter,
    LetterState,
    MissedRuns,
    Operation,
    OperationState,
    Schedule,
)

_STATES = {
    LetterState.OPEN: letter_pb.DEAD_LETTER_STATE_OPEN,
    LetterState.REPLAYED: letter_pb.DEAD_LETTER_STATE_REPLAYED,
    LetterState.DISCARDED: letter_pb.DEAD_LETTER_STATE_DISCARDED,
}
_MISSED = {
    MissedRuns.FIRE_ONCE: schedule_pb2.MISSED_RUN_POLICY_FIRE_ONCE,
    MissedRuns.SKIP: schedule_pb2.MISSED_RUN_POLICY_SKIP,
    MissedRuns.FIRE_ALL: schedule_pb2.MISSED_RUN_POLICY_FIRE_ALL,
}
_ERRORS = {OperationState.FAILED: code_pb2.INTERNAL, OperationState.CANCELLED: code_pb2.CANCELLED}
_NO_ID = UUID(int=0)
_EPOCH = datetime.fromtimestamp(0, UTC)


def filter_from(proto: letter_pb.DeadLetterFilter) -> LetterFilter:
    """Return the filter of a request."""
    states = {value: state for state, value in _STATES.items()}
    return LetterFilter(
        queue=proto.queue,
        actor=proto.actor,
        state=states.get(proto.state),
        failed_from=time_in(proto, "fail_time_from"),
        failed_before=time_in(proto, "fail_time_before"),
        text=proto.text,
        organization_id=proto.organization_id,
    )


def letter_to(letter: DeadLetter, *, whole: bool = True) -> letter_pb.DeadLetter:
    """Return a dead letter for an answer; without traceback and payload when it is not wanted `whole`."""
    message = letter.message
    return letter_pb.DeadLetter(
        id=str(letter.letter_id),
        queue=message.queue,
        actor=message.actor,
        message_id=message.message_id,
        organization_id=message.organization_id,
        state=_STATES[letter.state],
        error=message.error,
        traceback=message.traceback if whole else "",
        payload=message.payload if whole else "",
        trace_id=message.trace_id,
        attempts=message.attempts,
        failures=letter.failures,
        message_time=timestamp(message.sent_at),
        first_fail_time=timestamp(letter.first_failed_at),
        fail_time=timestamp(message.failed_at),
        close_time=timestamp(letter.closed_at),
        closed_by=letter.closed_by,
        etag=etag_of(letter.version),
    )


def schedule_from(schedule_id: UUID | None, proto: schedule_pb2.Schedule) -> Schedule:
    """Return the wanted values of a schedule; what the server sets is left empty."""
    policies = {value: policy for policy, value in _MISSED.items()}
    return Schedule(
        schedule_id=schedule_id or _NO_ID,
        name=proto.name,
        queue=proto.target.queue,
        actor=proto.target.actor or proto.target.queue,
        payload=proto.target.payload or "{}",
        created_by="",
        created_at=_EPOCH,
        updated_at=_EPOCH,
        cron=proto.cron,
        time_zone=proto.time_zone or "UTC",
        once_at=time_in(proto, "once_time"),
        missed_runs=policies.get(proto.missed_run_policy, MissedRuns.FIRE_ONCE),
        catch_up_limit=proto.catch_up_limit,
    )


def schedule_to(schedule: Schedule) -> schedule_pb2.Schedule:
    """Return a schedule for an answer."""
    return schedule_pb2.Schedule(
        id=str(schedule.schedule_id),
        name=schedule.name,
        cron=schedule.cron,
        time_zone=schedule.time_zone,
        once_time=timestamp(schedule.once_at),
        target=schedule_pb2.ScheduleTarget(queue=schedule.queue, actor=schedule.actor, payload=schedule.payload),
        missed_run_policy=_MISSED[schedule.missed_runs],
        catch_up_limit=schedule.catch_up_limit,
        paused=schedule.paused,
        next_time=timestamp(schedule.next_at),
        create_time=timestamp(schedule.created_at),
        update_time=timestamp(schedule.updated_at),
        created_by=schedule.created_by,
        etag=etag_of(schedule.version),
    )


def given_paths(schedule: schedule_pb2.Schedule, mask: FieldMask) -> list[str]:
    """Return what an update is to change: what the mask names, else every field that is not empty.

    An adapter that makes the mask of a body names the etag too, which is not a change.
    """
    paths = list(mask.paths) or [field.name for field, _ in schedule.ListFields() if field.name in UPDATABLE]
    return [path for path in paths if path != "etag"]


def fire_to(fire: Fire) -> schedule_pb2.ScheduleFire:
    """Return a fire for an answer."""
    return schedule_pb2.ScheduleFire(
        id=str(fire.fire_id),
        schedule_id=str(fire.schedule_id),
        kind=schedule_pb2.FIRE_KIND_MANUAL if fire.manual else schedule_pb2.FIRE_KIND_DUE,
        due_time=timestamp(fire.due_at),
        fire_time=timestamp(fire.fired_at),
    )


def operation_to(operation: Operation) -> operations_pb2.Operation:
    """Return an operation for an answer, as AIP-151 has it."""
    proto = operations_pb2.Operation(name=f"operations/{operation.operation_id}", done=operation.has_ended)
    proto.metadata.Pack(
        letters_pb.ReplayDeadLettersMetadata(
            total=operation.total,
            replayed=operation.done,
            cancel_requested=operation.cancel_requested,
            created_by=operation.created_by,
            create_time=timestamp(operation.created_at),
            update_time=timestamp(operation.updated_at),
            end_time=timestamp(operation.ended_at),
            expire_time=timestamp(operation.expire_at),
        )
    )
    if operation.state in _ERRORS:
        proto.error.code = _ERRORS[operation.state]
        proto.error.message = operation.error
    elif operation.has_ended:
        proto.response.Pack(
            letters_pb.ReplayDeadLettersResult(
                total=operation.total, replayed=operation.done, dry_run=bool(operation.request["dry_run"])
            )
        )
    return proto


def action_to(action: Action) -> action_pb.Action:
    """Return an action for an answer."""
    return action_pb.Action(
        id=str(action.action_id),
        verb=action.verb,
        subject_kind=action.subject_kind,
        subject_id=str(action.subject_id),
        actor_id=action.actor_id,
        action_time=timestamp(action.at),
        details=json.dumps(dict(action.details), ensure_ascii=False),
    )
