"""The command `parley dead-letters`."""

import argparse

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from parley.operations.v1 import dead_letter_pb2 as letter_pb
from parley.operations.v1 import dead_letter_service_pb2 as pb
from parley.operations.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from parley.operations.v1.operation_service_pb2 import WaitOperationRequest
from parley.operations.v1.operation_service_pb2_grpc import OperationServiceStub
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.operations.commands.edge import Edge, UsageError
from services.operations.commands.showing import fields_of, plain, table_of, time_text

_STATES = {
    "open": letter_pb.DEAD_LETTER_STATE_OPEN,
    "replayed": letter_pb.DEAD_LETTER_STATE_REPLAYED,
    "discarded": letter_pb.DEAD_LETTER_STATE_DISCARDED,
}
_NAMES = {value: name for name, value in _STATES.items()}


def run(edge: Edge, options: argparse.Namespace) -> int:
    """Do `list`, `show`, `replay` or `discard` and return the exit code. Raises UsageError, grpc.RpcError."""
    stub = DeadLetterServiceStub(edge.channel)
    match options.action:
        case "list":
            return _list(edge, stub, options)
        case "show":
            return _show(edge, stub, options.id)
        case "discard":
            for one in options.ids:
                answer = edge.call(stub.DiscardDeadLetter, pb.DiscardDeadLetterRequest(dead_letter_id=one))
                _done(edge, answer.dead_letter, "discarded")
            return 0
    if bool(options.ids) == options.all:
        raise UsageError("name the dead letters to replay, or give --all")
    if options.all:
        return _replay_all(edge, stub, options)
    for one in options.ids:
        answer = edge.call(stub.ReplayDeadLetter, pb.ReplayDeadLetterRequest(dead_letter_id=one))
        _done(edge, answer.dead_letter, "replayed")
    return 0


def _list(edge: Edge, stub: DeadLetterServiceStub, options: argparse.Namespace) -> int:
    request = pb.ListDeadLettersRequest(filter=_filter(options, _STATES.get(options.state or "", 0)))
    found = list(edge.pages(stub.ListDeadLetters, request, "dead_letters", options.limit))
    if edge.as_json:
        edge.print_json(found)
        return 0
    table = table_of("id", "state", "queue", "actor", "failed", "attempts", "error")
    for one in found:
        table.add_row(
            one.id,
            _NAMES[one.state],
            plain(one.queue),
            plain(one.actor),
            time_text(one, "fail_time"),
            str(one.attempts),
            plain(one.error),
        )
    edge.console.print(table if found else "No dead letters.")
    return 0


def _show(edge: Edge, stub: DeadLetterServiceStub, letter_id: str) -> int:
    one = edge.call(stub.GetDeadLetter, pb.GetDeadLetterRequest(dead_letter_id=letter_id)).dead_letter
    if edge.as_json:
        edge.print_json(one)
        return 0
    edge.console.print(
        fields_of(
            id=one.id,
            state=f"{_NAMES[one.state]}{f' by {one.closed_by}' if one.closed_by else ''}",
            queue=one.queue,
            actor=one.actor,
            message=one.message_id,
            organization=one.organization_id or "-",
            trace=one.trace_id or "-",
            sent=time_text(one, "message_time"),
            first_failed=time_text(one, "first_fail_time"),
            last_failed=time_text(one, "fail_time"),
            attempts=f"{one.attempts}, failed for good {one.failures} times",
            error=one.error,
            payload=one.payload,
        )
    )
    if one.traceback:
        edge.console.print()
        edge.console.print(plain(one.traceback))
    return 0


def _replay_all(edge: Edge, stub: DeadLetterServiceStub, options: argparse.Namespace) -> int:
    request = pb.ReplayDeadLettersRequest(
        filter=_filter(options, 0), dry_run=options.dry_run, rate_per_second=options.rate
    )
    operation = edge.call(stub.ReplayDeadLetters, request)
    if not operation.done:
        operation = _watched(edge, operation)
    if edge.as_json:
        edge.print_json(operation)
    elif operation.HasField("error"):
        edge.console.print(f"{operation.name} has ended early: {operation.error.message}")
    else:
        result = pb.ReplayDeadLettersResult()
        operation.response.Unpack(result)
        text = f"{result.total} would be replayed." if result.dry_run else f"{result.replayed} replayed."
        edge.console.print(text)
    return 1 if operation.HasField("error") else 0


def _watched(edge: Edge, operation: operations_pb2.Operation) -> operations_pb2.Operation:
    """Wait for an operation, with a bar on the terminal; it goes on when nobody watches."""
    stub = OperationServiceStub(edge.channel)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=edge.console, disable=edge.as_json) as progress:
        task = progress.add_task("", total=None)
        try:
            while not operation.done:
                wanted = WaitOperationRequest(
                    operation_id=operation.name.removeprefix("operations/"), timeout=Duration(seconds=1)
                )
                operation = edge.call(stub.WaitOperation, wanted)
                seen = pb.ReplayDeadLettersMetadata()
                operation.metadata.Unpack(seen)
                progress.update(task, total=seen.total, completed=seen.replayed)
        except KeyboardInterrupt:
            raise UsageError(f"not watched any more; {operation.name} goes on") from None
    return operation


def _filter(options: argparse.Namespace, state: int) -> letter_pb.DeadLetterFilter:
    return letter_pb.DeadLetterFilter(
        queue=options.queue,
        actor=options.actor,
        text=options.text,
        state=letter_pb.DeadLetterState.Name(state),  # type: ignore[arg-type]
    )


def _done(edge: Edge, letter: letter_pb.DeadLetter, verb: str) -> None:
    if edge.as_json:
        edge.print_json(letter)
    else:
        edge.console.print(f"{letter.id} {verb}")
