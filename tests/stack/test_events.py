"""Events of the full stack: they go over Kafka, and whoever may listens there with a client of their own."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError
from google.protobuf import json_format
from parley.cloudevents.v1.cloudevents_pb2 import CloudEvent
from parley.events.v1.log_event_pb2 import LogEvent
from parley.events.v1.outgoing_pb2 import Outgoing

from services.chassis.events.cloud_events import unpack
from services.chassis.events.kafka_bus import client_options
from services.chassis.events.topics import message_of
from tests.stack.conftest import Stack
from tests.support.callers import PASSWORD, Edge, Person
from tests.support.mailbox import Mailbox

_SECONDS = 120


async def _records(stack: Stack, topic: str) -> AsyncIterator[Any]:
    """Yield what the topic holds, and what comes. Topics are made when something is first published."""
    consumer = AIOKafkaConsumer(
        topic,
        **client_options(f"kafka://parley:{stack.secret('kafka-password')}@127.0.0.1:{stack.ports['kafka']}"),
        auto_offset_reset="earliest",
        metadata_max_age_ms=1000,
    )
    while True:
        try:
            await consumer.start()
            break
        except KafkaConnectionError:
            await asyncio.sleep(0.5)
    try:
        async for record in consumer:
            yield record
    finally:
        await consumer.stop()


async def _first(stack: Stack, topic: str, wanted: Callable[[dict[str, Any]], bool]) -> Any:
    async with asyncio.timeout(_SECONDS):
        async for record in _records(stack, topic):
            if wanted(json.loads(CloudEvent.FromString(record.value).binary_data)):
                return record
    raise AssertionError


async def test_an_answer_is_told_over_kafka_as_a_cloud_event(ada: Person, stack: Stack) -> None:
    conversation = await ada.open_conversation()
    said = "something that is nobody else's business"
    run = await ada.say(conversation, said)
    last = (await ada.hear(run))[-1]
    record = await _first(stack, "outgoing", lambda data: data["run_id"] == run.rpartition("/")[2])
    event = CloudEvent.FromString(record.value)
    data = json.loads(event.binary_data)
    assert (event.spec_version, event.type) == ("1.0", "parley.outgoing.v1")
    outgoing = json_format.ParseDict(data, Outgoing())  # raises for what the topic does not know
    assert (outgoing.owner_id, outgoing.message_id) == (ada.id, last.data["message"]["id"])
    assert record.key.decode() == data["conversation_id"] == conversation.rpartition("/")[2]
    assert ("content-type", b"application/cloudevents+protobuf") in record.headers
    assert said.encode() not in record.value


async def test_a_changed_password_is_logged_over_kafka_and_mailed_to_its_user(edge: Edge, stack: Stack) -> None:
    bea = await edge.register()
    new = "another horse battery"
    await bea.post("/api/v1/auth/change-password", currentPassword=PASSWORD, password=new)
    record = await _first(
        stack, "log_event", lambda data: (data["action"], data["subject_id"]) == ("password.change", bea.id)
    )
    said = message_of(unpack(record.value))
    assert isinstance(said, LogEvent)
    assert (said.service, said.actor_id, said.outcome) == ("identity", bea.id, "OK")
    for secret in (PASSWORD, new, bea.token, bea.user["email"]):
        assert secret.encode() not in record.value
    mailbox = Mailbox(stack.mesh.home)
    async with asyncio.timeout(_SECONDS):
        while not [text for text in mailbox.texts(bea.user["email"]) if "Your password was changed." in text]:
            await asyncio.sleep(0.2)


async def test_what_was_done_at_the_desk_is_logged_over_kafka(stack: Stack, edge: Edge) -> None:
    bea = await edge.register()
    admin = stack.admin()
    admin.assign_realm_roles(bea.id, [admin.get_realm_role("admin")])
    operator = await edge.person(bea.user["email"])
    target = {"queue": "incoming", "actor": "incoming", "payload": "{}"}
    made = await operator.post("/api/v1/admin/schedules", cron="0 0 1 1 *", target=target)
    record = await _first(stack, "log_event", lambda data: data["subject_id"] == made["id"])
    said = message_of(unpack(record.value))
    assert isinstance(said, LogEvent)
    assert (said.service, said.action, said.actor_id) == ("operations", "schedule.create", bea.id)


async def test_a_killed_kafka_holds_up_no_answer_and_its_event_comes_later(ada: Person, stack: Stack) -> None:
    killed = stack.mesh.pid("kafka")
    os.kill(killed, signal.SIGKILL)
    conversation = await ada.open_conversation()
    assert await ada.answer(conversation, "Hello") == "You said: Hello"
    wanted = conversation.rpartition("/")[2]
    await _first(stack, "outgoing", lambda data: data["conversation_id"] == wanted)
    assert stack.mesh.pid("kafka") != killed
