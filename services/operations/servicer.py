"""The gRPC services: each RPC reads the request, calls one operation and builds the response."""

from typing import Any
from uuid import UUID

from google.longrunning import operations_pb2
from parley.operations.v1 import action_service_pb2 as action_pb
from parley.operations.v1 import action_service_pb2_grpc as action_grpc
from parley.operations.v1 import dead_letter_service_pb2 as letter_pb
from parley.operations.v1 import dead_letter_service_pb2_grpc as letter_grpc
from parley.operations.v1 import operation_service_pb2 as operation_pb
from parley.operations.v1 import operation_service_pb2_grpc as operation_grpc
from parley.operations.v1 import schedule_service_pb2 as schedule_pb
from parley.operations.v1 import schedule_service_pb2_grpc as schedule_grpc

from services.chassis import caller
from services.chassis.identifiers import optional_id
from services.chassis.timestamps import time_in, timestamp
from services.operations.operations.keep_dead_letters import KeepDeadLetters
from services.operations.operations.keep_operations import MOST_WAIT_SECONDS, KeepOperations
from services.operations.operations.keep_schedules import KeepSchedules
from services.operations.operations.replay_dead_letters import ReplayDeadLetters
from services.operations.translation import (
    action_to,
    filter_from,
    fire_to,
    given_paths,
    letter_to,
    operation_to,
    schedule_from,
    schedule_to,
)


class DeadLetterServicer(letter_grpc.DeadLetterServiceServicer):
    """Serves parley.operations.v1.DeadLetterService."""

    def __init__(self, letters: KeepDeadLetters, replays: ReplayDeadLetters) -> None:
        self._letters = letters
        self._replays = replays

    async def ListDeadLetters(
        self, request: letter_pb.ListDeadLettersRequest, context: Any
    ) -> letter_pb.ListDeadLettersResponse:
        page, following = await self._letters.page(filter_from(request.filter), request.page_size, request.page_token)
        return letter_pb.ListDeadLettersResponse(
            dead_letters=[letter_to(one, whole=False) for one in page], next_page_token=following
        )

    async def GetDeadLetter(
        self, request: letter_pb.GetDeadLetterRequest, context: Any
    ) -> letter_pb.GetDeadLetterResponse:
        found = await self._letters.get(UUID(request.dead_letter_id))
        return letter_pb.GetDeadLetterResponse(dead_letter=letter_to(found))

    async def UpdateDeadLetter(
        self, request: letter_pb.UpdateDeadLetterRequest, context: Any
    ) -> letter_pb.UpdateDeadLetterResponse:
        wanted = request.dead_letter
        changed = await self._letters.update(
            UUID(request.dead_letter_id),
            wanted.payload,
            wanted.etag,
            list(request.update_mask.paths),
            caller.current().user_id,
        )
        return letter_pb.UpdateDeadLetterResponse(dead_letter=letter_to(changed))

    async def ReplayDeadLetter(
        self, request: letter_pb.ReplayDeadLetterRequest, context: Any
    ) -> letter_pb.ReplayDeadLetterResponse:
        replayed = await self._replays.one(UUID(request.dead_letter_id), caller.current().user_id)
        return letter_pb.ReplayDeadLetterResponse(dead_letter=letter_to(replayed))

    async def ReplayDeadLetters(
        self, request: letter_pb.ReplayDeadLettersRequest, context: Any
    ) -> operations_pb2.Operation:
        operation = await self._replays.chosen(
            filter_from(request.filter),
            request.rate_per_second,
            caller.current().user_id,
            optional_id(request.request_id),
            dry_run=request.dry_run,
        )
        return operation_to(operation)

    async def DiscardDeadLetter(
        self, request: letter_pb.DiscardDeadLetterRequest, context: Any
    ) -> letter_pb.DiscardDeadLetterResponse:
        discarded = await self._letters.discard(UUID(request.dead_letter_id), caller.current().user_id)
        return letter_pb.DiscardDeadLetterResponse(dead_letter=letter_to(discarded))


class ScheduleServicer(schedule_grpc.ScheduleServiceServicer):
    """Serves parley.operations.v1.ScheduleService."""

    def __init__(self, schedules: KeepSchedules) -> None:
        self._schedules = schedules

    async def CreateSchedule(
        self, request: schedule_pb.CreateScheduleRequest, context: Any
    ) -> schedule_pb.CreateScheduleResponse:
        made = await self._schedules.create(
            schedule_from(None, request.schedule), caller.current().user_id, optional_id(request.request_id)
        )
        return schedule_pb.CreateScheduleResponse(schedule=schedule_to(made))

    async def ListSchedules(
        self, request: schedule_pb.ListSchedulesRequest, context: Any
    ) -> schedule_pb.ListSchedulesResponse:
        page, following = await self._schedules.page(request.page_size, request.page_token)
        return schedule_pb.ListSchedulesResponse(
            schedules=[schedule_to(one) for one in page], next_page_token=following
        )

    async def GetSchedule(
        self, request: schedule_pb.GetScheduleRequest, context: Any
    ) -> schedule_pb.GetScheduleResponse:
        found = await self._schedules.get(UUID(request.schedule_id))
        return schedule_pb.GetScheduleResponse(schedule=schedule_to(found))

    async def UpdateSchedule(
        self, request: schedule_pb.UpdateScheduleRequest, context: Any
    ) -> schedule_pb.UpdateScheduleResponse:
        changed = await self._schedules.update(
            schedule_from(UUID(request.schedule_id), request.schedule),
            request.schedule.etag,
            given_paths(request.schedule, request.update_mask),
            caller.current().user_id,
        )
        return schedule_pb.UpdateScheduleResponse(schedule=schedule_to(changed))

    async def DeleteSchedule(
        self, request: schedule_pb.DeleteScheduleRequest, context: Any
    ) -> schedule_pb.DeleteScheduleResponse:
        await self._schedules.delete(UUID(request.schedule_id), caller.current().user_id)
        return schedule_pb.DeleteScheduleResponse()

    async def PauseSchedule(
        self, request: schedule_pb.PauseScheduleRequest, context: Any
    ) -> schedule_pb.PauseScheduleResponse:
        paused = await self._schedules.pause(UUID(request.schedule_id), caller.current().user_id)
        return schedule_pb.PauseScheduleResponse(schedule=schedule_to(paused))

    async def ResumeSchedule(
        self, request: schedule_pb.ResumeScheduleRequest, context: Any
    ) -> schedule_pb.ResumeScheduleResponse:
        resumed = await self._schedules.resume(UUID(request.schedule_id), caller.current().user_id)
        return schedule_pb.ResumeScheduleResponse(schedule=schedule_to(resumed))

    async def RunSchedule(
        self, request: schedule_pb.RunScheduleRequest, context: Any
    ) -> schedule_pb.RunScheduleResponse:
        fire = await self._schedules.run(
            UUID(request.schedule_id), caller.current().user_id, optional_id(request.request_id)
        )
        return schedule_pb.RunScheduleResponse(fire=fire_to(fire))

    async def ListScheduleFires(
        self, request: schedule_pb.ListScheduleFiresRequest, context: Any
    ) -> schedule_pb.ListScheduleFiresResponse:
        page, following = await self._schedules.fires(UUID(request.schedule_id), request.page_size, request.page_token)
        return schedule_pb.ListScheduleFiresResponse(fires=[fire_to(one) for one in page], next_page_token=following)

    async def PreviewSchedule(
        self, request: schedule_pb.PreviewScheduleRequest, context: Any
    ) -> schedule_pb.PreviewScheduleResponse:
        after = time_in(request, "after_time")
        found = self._schedules.preview(request.cron, request.time_zone, after, request.count)
        return schedule_pb.PreviewScheduleResponse(times=[stamp for at in found if (stamp := timestamp(at))])


class OperationServicer(operation_grpc.OperationServiceServicer):
    """Serves parley.operations.v1.OperationService."""

    def __init__(self, operations: KeepOperations) -> None:
        self._operations = operations

    async def ListOperations(
        self, request: operation_pb.ListOperationsRequest, context: Any
    ) -> operation_pb.ListOperationsResponse:
        page, following = await self._operations.page(request.page_size, request.page_token)
        return operation_pb.ListOperationsResponse(
            operations=[operation_to(one) for one in page], next_page_token=following
        )

    async def GetOperation(self, request: operation_pb.GetOperationRequest, context: Any) -> operations_pb2.Operation:
        return operation_to(await self._operations.get(UUID(request.operation_id)))

    async def CancelOperation(
        self, request: operation_pb.CancelOperationRequest, context: Any
    ) -> operation_pb.CancelOperationResponse:
        await self._operations.cancel(UUID(request.operation_id), caller.current().user_id)
        return operation_pb.CancelOperationResponse()

    async def DeleteOperation(
        self, request: operation_pb.DeleteOperationRequest, context: Any
    ) -> operation_pb.DeleteOperationResponse:
        await self._operations.delete(UUID(request.operation_id), caller.current().user_id)
        return operation_pb.DeleteOperationResponse()

    async def WaitOperation(self, request: operation_pb.WaitOperationRequest, context: Any) -> operations_pb2.Operation:
        seconds = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else MOST_WAIT_SECONDS
        return operation_to(await self._operations.wait(UUID(request.operation_id), seconds))


class ActionServicer(action_grpc.ActionServiceServicer):
    """Serves parley.operations.v1.ActionService."""

    def __init__(self, operations: KeepOperations) -> None:
        self._operations = operations

    async def ListActions(self, request: action_pb.ListActionsRequest, context: Any) -> action_pb.ListActionsResponse:
        page, following = await self._operations.actions(
            optional_id(request.subject_id), request.page_size, request.page_token
        )
        return action_pb.ListActionsResponse(actions=[action_to(one) for one in page], next_page_token=following)
