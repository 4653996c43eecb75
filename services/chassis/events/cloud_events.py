"""The envelope of events: CloudEvents 1.0 in its protobuf format, with the data as JSON."""

from datetime import UTC, datetime
from uuid import UUID

import orjson
from parley.cloudevents.v1.cloudevents_pb2 import CloudEvent

from services.chassis.outbox import MAX_BYTES, Event, EventTooLarge

CONTENT_TYPE = "application/cloudevents+protobuf"
_SPEC = "1.0"
_TYPE = "parley.{topic}.v1"


def pack(event: Event) -> bytes:
    """Return the event in its envelope. Raises EventTooLarge."""
    envelope = CloudEvent(
        id=str(event.event_id),
        source="/parley",
        spec_version=_SPEC,
        type=_TYPE.format(topic=event.topic),
        binary_data=orjson.dumps(event.payload),
    )
    attributes = {"datacontenttype": "application/json", "partitionkey": event.key, **event.headers}
    for name, value in attributes.items():
        envelope.attributes[name].ce_string = value
    envelope.attributes["time"].ce_timestamp.FromDatetime(_time_of(event.event_id))
    packed: bytes = envelope.SerializeToString()
    if len(packed) > MAX_BYTES:
        raise EventTooLarge(topic=event.topic, size=len(packed), limit=MAX_BYTES)
    return packed


def unpack(packed: bytes) -> Event:
    """Return the event that `pack` made `packed` of. Raises ValueError or google.protobuf's DecodeError."""
    envelope = CloudEvent.FromString(packed)
    attributes = {name: value.ce_string for name, value in envelope.attributes.items() if value.HasField("ce_string")}
    attributes.pop("datacontenttype", None)
    key = attributes.pop("partitionkey", "")
    topic = envelope.type.removeprefix("parley.").rpartition(".")[0]
    return Event(UUID(envelope.id), topic, key, orjson.loads(envelope.binary_data), attributes)


def _time_of(event_id: UUID) -> datetime:
    """Return when the event came about: its id is a UUIDv7, whose first 48 bits are milliseconds."""
    return datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC)
