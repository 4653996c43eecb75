"""Times as protobuf has them."""

from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import InvalidFields


def timestamp(at: datetime | None) -> Timestamp | None:
    """Return a time for a message, None for none."""
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def time_in(message: Message, field: str) -> datetime | None:
    """Return the time in a field of a message, None when it is unset. Raises InvalidFields for what is no time."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidFields([(field, "must be a time from the year 1 to the year 9999")]) from None
