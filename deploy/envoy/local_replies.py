"""What Envoy says when it answers by itself: the same body as every other error of Parley."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalReply:
    """A google.rpc code and what the reader is told."""

    code: int
    message: str


# Envoy's own texts tell addresses and transport details; only those about a token are worth passing on.
LOCAL_REPLIES = {
    400: LocalReply(3, "The request is malformed."),
    401: LocalReply(16, "%LOCAL_REPLY_BODY%"),
    403: LocalReply(7, "The request cannot be served this way."),
    404: LocalReply(5, "Nothing is served at this path."),
    405: LocalReply(12, "The method is not allowed here."),
    408: LocalReply(4, "The request took too long."),
    413: LocalReply(8, "The body is too large."),
    414: LocalReply(8, "The path is too long."),
    415: LocalReply(3, "The content type is not supported."),
    426: LocalReply(9, "Another protocol version is needed."),
    429: LocalReply(8, "Too many requests: try again later."),
    431: LocalReply(8, "The headers are too large."),
    500: LocalReply(13, "The request could not be handled."),
    501: LocalReply(12, "This is not implemented."),
    502: LocalReply(14, "The service gave no valid answer: try again later."),
    503: LocalReply(14, "The service cannot be reached now: try again later."),
    504: LocalReply(4, "The service did not answer in time."),
}
# Those for which Envoy knows no gRPC code.
GRPC_REPLIES = (408, 413, 414, 431)
