"""Reading the errors of other services."""

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_STATUS_DETAILS = "grpc-status-details-bin"


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the `reason` of the failure's google.rpc.ErrorInfo; empty when it carries none, as Envoy's own do not."""
    return str(info_of(error).reason)


def info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """Return the failure's google.rpc.ErrorInfo; an empty one when it carries none."""
    for key, value in error.trailing_metadata() or ():
        if key == _STATUS_DETAILS:
            try:
                status = status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode("latin-1"))
            except DecodeError:
                break
            for detail in status.details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info
    return error_details_pb2.ErrorInfo()
