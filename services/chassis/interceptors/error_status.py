"""Turns exceptions into gRPC statuses. The only place that knows how; nobody else aborts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.chassis import logs
from services.chassis.errors import ServiceError
from services.chassis.interceptors.call import Call
from services.chassis.interceptors.request_id import METADATA_KEY

_log = logs.get(__name__)
_STATUS_DETAILS = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@asynccontextmanager
async def answer_errors(call: Call) -> AsyncIterator[None]:
    """Answer an expected failure with its code and details, any other one with INTERNAL and a constant text.

    grpc.aio would send the text of an unexpected exception to the client.
    """
    try:
        yield
    except ServiceError as error:
        await _abort(call, status_of(error))
    except grpc.aio.AbortError:
        raise
    except grpc.aio.AioRpcError as error:
        # Another service failed and the operation did not say what that means for its caller.
        _log.exception("call to another service failed", method=call.method, code=error.code().name)
        await _abort(call, _internal(call))
    except Exception:
        _log.exception("rpc failed", method=call.method)
        await _abort(call, _internal(call))


def status_of(error: ServiceError) -> status_pb2.Status:
    """Return the google.rpc.Status of a failure: one ErrorInfo, and what else helps: BadRequest, RetryInfo."""
    status = status_pb2.Status(code=int(error.kind), message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=error.domain, metadata=error.fields)
    _pack(status, info)
    if error.violations:
        bad_request = error_details_pb2.BadRequest()
        for field, description in error.violations:
            bad_request.field_violations.add(field=field, description=description)
        _pack(status, bad_request)
    if error.retry_after_seconds:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(error.retry_after_seconds * 1000))
        _pack(status, retry)
    return status


def _internal(call: Call) -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.INTERNAL, message=f"internal error, request id {call.request_id}")
    _pack(
        status,
        error_details_pb2.ErrorInfo(reason="INTERNAL", domain="parley", metadata={"request_id": call.request_id}),
    )
    return status


def _pack(status: status_pb2.Status, detail: Message) -> None:
    packed = Any()
    packed.Pack(detail)
    status.details.append(packed)


async def _abort(call: Call, status: status_pb2.Status) -> NoReturn:
    await call.context.abort(
        _CODES[status.code],
        status.message,
        ((_STATUS_DETAILS, status.SerializeToString()), (METADATA_KEY, call.request_id)),
    )
    raise AssertionError
