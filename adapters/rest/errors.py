"""gRPC status -> HTTP answer: `{"code","message","details"}` with grpc-gateway's table of codes."""

import logging
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from adapters.rest.codec import Codec, dump_json
from adapters.rest.dialect import Dialect
from adapters.rest.failures import Failure
from adapters.rest.metadata import Headers, find_binary, header_safe
from adapters.rest.outgoing import RETRY_AFTER, Outgoing
from adapters.rest.upstream import CallFailed, is_unreachable
from adapters.rest.well_known import AnyTypeUnknown

_log = logging.getLogger(__name__)
HTTP_STATUS = (200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401)
"""HTTP status by gRPC code, 0 to 16."""

UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAUTHENTICATED = 2, 4, 13, 16
_LAST_CODE = len(HTTP_STATUS) - 1
_INTERNAL_TEXT = "internal error"
_UNWRITABLE_TEXT = "failed to marshal error message"
_UNREACHABLE_TEXT = "the upstream is not reachable"
_GO_DEADLINE_TEXT = "context deadline exceeded"
_TRAILING_TYPE = (b"grpc-trailer-content-type", b"application/grpc")


class ErrorWriter:
    """Makes the bodies of error answers."""

    def __init__(self, codec: Codec, pool: DescriptorPool, dialect: Dialect, outgoing: Outgoing) -> None:
        """Take the codec for details of the descriptor set, and what names metadata."""
        self._codec = codec
        self._outgoing = outgoing
        self._pool = pool
        self._dialect = dialect

    def from_failure(self, failure: Failure) -> "ErrorAnswer":
        """Return the answer to a request that was refused here."""
        details = failure.details if self._dialect.violations_in_details else ()
        content = {
            "code": failure.code,
            "message": failure.go_message if self._dialect.go_texts else failure.message,
            "details": [self._installed(detail) for detail in details],
        }
        return ErrorAnswer(content, failure.http_status)

    def from_call(self, error: CallFailed) -> "ErrorAnswer":
        """Return the answer to a call that the upstream refused, or that did not reach it."""
        code, message = error.code, error.message
        if code == DEADLINE_EXCEEDED and not error.by_peer and self._dialect.go_texts:
            message = _GO_DEADLINE_TEXT
        if is_unreachable(error):
            _log.warning("upstream not reachable: %s", message)
            message = _dialing(message) if self._dialect.go_texts else _UNREACHABLE_TEXT
        packed = find_binary(error.trailers, "grpc-status-details-bin")
        try:
            status = Status.FromString(packed) if packed else Status()
            details = [self._detail(detail) for detail in status.details]
        except (DecodeError, AnyTypeUnknown) as problem:
            _log.warning("error details cannot be written: %s", problem)
            if self._dialect.go_texts:
                return ErrorAnswer({"code": INTERNAL, "message": _UNWRITABLE_TEXT}, 500)
            details = []
        if code == UNKNOWN and status.code > _LAST_CODE:
            code = status.code  # gRPC's core has made UNKNOWN of it
        answer = ErrorAnswer({"code": code, "message": message, "details": details})
        answer.headers += self._outgoing.headers(error.headers) if error.headers else []
        answer.headers += self._outgoing.late_limits(error.trailers)
        answer.trailers = self._outgoing.trailers(error.trailers)
        if not error.headers and error.by_peer:
            # Headers and trailers came as one: the content type is among them.
            answer.trailers.insert(0, _TRAILING_TYPE)
        if self._dialect.rate_limit_headers:
            _add_retry_after(answer, status)
        return answer

    def internal(self, request_id: str) -> "ErrorAnswer":
        """Return the answer to a bug in the adapter: a constant text; the log has the rest."""
        _log.exception("request %s failed", request_id)
        return ErrorAnswer({"code": INTERNAL, "message": _INTERNAL_TEXT, "details": []})

    def _detail(self, detail: Any) -> Any:
        from google.protobuf.any_pb2 import Any as AnyMessage

        return self._codec.encoder(AnyMessage.DESCRIPTOR)(detail)

    def _installed(self, detail: Message) -> Any:
        from google.protobuf.any_pb2 import Any as AnyMessage

        packed = AnyMessage()
        packed.Pack(detail)
        return self._detail(packed)


class ErrorAnswer:
    """An error as it goes out."""

    def __init__(self, content: dict[str, Any], http_status: int | None = None) -> None:
        """Take the Status as JSON."""
        self.content = content
        code = content["code"]
        self.http_status = http_status or (HTTP_STATUS[code] if 0 <= code < len(HTTP_STATUS) else 500)
        self.headers: Headers = []
        self.trailers: Headers = []
        if code == UNAUTHENTICATED:
            message = content["message"].encode("ascii", "replace")
            self.headers.append((b"www-authenticate", header_safe(message)))

    @property
    def body(self) -> bytes:
        """The Status as JSON text."""
        return dump_json(self.content)


def _add_retry_after(answer: ErrorAnswer, status: Status) -> None:
    if any(name == RETRY_AFTER for name, _ in answer.headers):
        return
    for detail in status.details:
        if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            seconds = max(0, delay.seconds + (1 if delay.nanos > 0 else 0))
            answer.headers.append((RETRY_AFTER, str(seconds).encode()))
            return


def _dialing(message: str) -> str:
    # grpc-go's wording around what gRPC's core has found out.
    return f'connection error: desc = "transport: Error while dialing: {message.rpartition("last error: ")[2]}"'
