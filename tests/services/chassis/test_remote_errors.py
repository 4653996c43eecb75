"""The reason of another service's failure, and none where there is none."""

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from services.chassis.remote_errors import reason_of


def _error(*metadata: tuple[str, str | bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), details="away"
    )


def _status(*details: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> bytes:
    status = status_pb2.Status(code=14, message="away")
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return bytes(status.SerializeToString())


_INFO = error_details_pb2.ErrorInfo(reason="MODEL_UNAVAILABLE", domain="inference.parley")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), ""),
        ((("x-request-id", "r"),), ""),
        ((("grpc-status-details-bin", _status()),), ""),
        ((("grpc-status-details-bin", _status(error_details_pb2.RetryInfo())),), ""),
        ((("grpc-status-details-bin", _status(_INFO)),), "MODEL_UNAVAILABLE"),
        ((("a", "b"), ("grpc-status-details-bin", _status(error_details_pb2.RetryInfo(), _INFO))), "MODEL_UNAVAILABLE"),
        ((("grpc-status-details-bin", b"\xff\xff not a status"),), ""),
    ],
)
def test_the_reason_is_read_from_the_error_info(metadata: tuple[tuple[str, str | bytes], ...], reason: str) -> None:
    assert reason_of(_error(*metadata)) == reason
