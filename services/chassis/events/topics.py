"""The topics of the house and what their events say: messages of `protos/parley/events/v1`, as JSON.

The names of the fields are those of the protos; what an older publisher did not know of is empty.
"""

from google.protobuf import json_format
from google.protobuf.message import Message
from parley.events.v1.log_event_pb2 import LogEvent
from parley.events.v1.notify_user_pb2 import NotifyUser
from parley.events.v1.outgoing_pb2 import Outgoing
from parley.events.v1.user_paid_pb2 import UserPaid

from services.chassis.outbox import Event

OUTGOING = "outgoing"
USER_PAID = "user_paid"
NOTIFY_USER = "notify_user"
LOG_EVENT = "log_event"
TOPICS: dict[str, type[Message]] = {
    OUTGOING: Outgoing,
    USER_PAID: UserPaid,
    NOTIFY_USER: NotifyUser,
    LOG_EVENT: LogEvent,
}


def payload_of(message: Message) -> dict[str, object]:
    """Return what an event's payload says for a message of one of the topics."""
    said: dict[str, object] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return said


def message_of(event: Event) -> Message:
    """Return what an event says. Fields that are not known here are left out.

    Raises:
        ValueError: it is no event of the topic: a topic that there is not, or a field of another type.
    """
    kind = TOPICS.get(event.topic)
    if kind is None:
        raise ValueError(f"there is no topic {event.topic}")
    try:
        return json_format.ParseDict(event.payload, kind(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise ValueError(f"no event of the topic {event.topic}: {error}") from error
