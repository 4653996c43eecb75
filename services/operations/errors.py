"""What can go wrong at the desk; protos/parley/operations/v1/error_reason.proto explains each."""

from services.chassis.errors import EtagOutdated, Kind, NotUpdatable, RequestIdSpent, ServiceError


class OperationsError(ServiceError):
    """A failure of this service."""

    domain = "operations.parley"


class DeadLetterNotFound(OperationsError):
    """There is no such dead letter."""

    kind = Kind.NOT_FOUND
    reason = "DEAD_LETTER_NOT_FOUND"
    template = "dead_letter_id: there is no dead letter {dead_letter_id}"


class DeadLetterClosed(OperationsError):
    """The dead letter was replayed or discarded before, and has not come back."""

    kind = Kind.FAILED_PRECONDITION
    reason = "DEAD_LETTER_CLOSED"
    template = "dead letter {dead_letter_id} is {state} already"


class EtagMismatch(OperationsError, EtagOutdated):
    """Somebody changed it since it was read."""


class PayloadInvalid(OperationsError):
    """The payload is no JSON object."""

    kind = Kind.INVALID_ARGUMENT
    reason = "PAYLOAD_INVALID"
    template = "payload: must be the text of a JSON object: {cause}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("payload", f"must be the text of a JSON object: {self.fields['cause']}"),)


class FieldNotUpdatable(OperationsError, NotUpdatable):
    """The update mask names a field that does not exist or cannot be changed."""


class FilterInvalid(OperationsError):
    """Only open dead letters can be replayed."""

    kind = Kind.INVALID_ARGUMENT
    reason = "FILTER_INVALID"
    template = "filter.state: only open dead letters can be replayed, not those that are {state}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("filter.state", "only open dead letters can be replayed"),)


class RequestIdReused(OperationsError, RequestIdSpent):
    """The same request id came before with something else."""


class ScheduleNotFound(OperationsError):
    """There is no such schedule."""

    kind = Kind.NOT_FOUND
    reason = "SCHEDULE_NOT_FOUND"
    template = "schedule_id: there is no schedule {schedule_id}"


class ScheduleInvalid(OperationsError):
    """The cron expression, the time zone or the time is wrong."""

    kind = Kind.INVALID_ARGUMENT
    reason = "SCHEDULE_INVALID"
    template = "{field}: {cause}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return ((self.fields["field"], self.fields["cause"]),)


class TargetNotAllowed(OperationsError):
    """No schedule may start this job."""

    kind = Kind.INVALID_ARGUMENT
    reason = "TARGET_NOT_ALLOWED"
    template = "target: no schedule may start the actor {actor} on the queue {queue}"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("target", f"no schedule may start the actor {self.fields['actor']} on this queue"),)


class OperationNotFound(OperationsError):
    """There is no such operation, or it has been forgotten."""

    kind = Kind.NOT_FOUND
    reason = "OPERATION_NOT_FOUND"
    template = "operation_id: there is no operation {operation_id}"


class OperationRunning(OperationsError):
    """The operation has not ended."""

    kind = Kind.FAILED_PRECONDITION
    reason = "OPERATION_RUNNING"
    template = "operation {operation_id} has not ended: cancel it first"
