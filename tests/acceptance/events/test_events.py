"""The same promises over every bus: in the process, over a real RabbitMQ and over a real Kafka."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import aio_pika
import pytest
import structlog
from google.protobuf.message import Message
from parley.events.v1.log_event_pb2 import LogEvent
from parley.events.v1.notify_user_pb2 import NotifyUser
from parley.events.v1.outgoing_pb2 import Outgoing
from parley.events.v1.user_paid_pb2 import UserPaid
from redis.asyncio import Redis

from services.chassis.errors import StoreUnavailable
from services.chassis.events.opening import UnknownBus, open_bus
from services.chassis.events.rabbitmq_bus import EXCHANGE
from services.chassis.events.subscriptions import Subscriptions, job_of, job_of_packed
from services.chassis.events.topics import TOPICS, message_of, payload_of
from services.chassis.identifiers import new_id
from services.chassis.outbox import MAX_BYTES, Event, EventTooLarge
from tests.acceptance.events.conftest import Jobs, Listener, Trial

_ROOT = Path(__file__).parents[3]
# A process alone has one member of a group; what it has not dealt with waits in the outbox, which has its own tests.
_BROKERED = pytest.mark.parametrize("broker", ["kafka", "rabbitmq"], indirect=True)
_SAID: dict[str, Message] = {
    "outgoing": Outgoing(owner_id="o", conversation_id="c", message_id="m", run_id="r", sequence=2),
    "user_paid": UserPaid(payment_id="p", user_id="u", amount=2**53 + 1, currency="VND"),
    "notify_user": NotifyUser(user_id="u", kind="payment_received", data={"amount": "5", "currency": "VND"}),
    "log_event": LogEvent(service="identity", log_id="l", action="user.login", outcome="OK"),
}
_TRACE = "0af7651916cd43dd8448eb211c80319c"
_TRACEPARENT = f"00-{_TRACE}-b7ad6b7169203331-01"


async def test_every_group_has_every_event_once_when_nothing_dies(trial: Trial) -> None:
    mail, ledger = Listener(), Listener()
    async with trial.listening("mail", mail), trial.listening("ledger", ledger):
        await trial.publish([trial.event(number) for number in range(50)])
        assert await mail.has(50) == list(range(50))
        assert await ledger.has(50) == list(range(50))


@_BROKERED
async def test_the_members_of_a_group_share_its_events(trial: Trial) -> None:
    assert trial.broker is not None
    first, second = Listener(), Listener()
    other = Trial(open_bus(trial.broker.url, Subscriptions(trial.jobs)), trial.broker, trial.jobs, trial.topic)
    async with trial.listening("mail", first), other.listening("mail", second):
        await trial.publish([trial.event(number, f"key-{number}") for number in range(60)])
        async with asyncio.timeout(60):
            while len(first.events) + len(second.events) < 60:
                await asyncio.sleep(0.02)
        had = Counter(event.event_id for listener in (first, second) for event in listener.events)
        assert len(had) == 60
    await other.bus.close()


async def test_the_events_of_a_key_stay_in_order(trial: Trial) -> None:
    listener = Listener()
    async with trial.listening("mail", listener):
        for start in range(0, 300, 60):
            await trial.publish([trial.event(number, f"key-{number % 7}") for number in range(start, start + 60)])
        await listener.has(300)
    for key in range(7):
        numbers = [event.payload["n"] for event in listener.events if event.key == f"key-{key}"]
        assert numbers == list(range(key, 300, 7))


async def test_an_event_arrives_as_it_was_published(trial: Trial) -> None:
    listener = Listener()
    sent = Event(
        new_id(), trial.topic, "ключ", {"n": 1, "text": "xin chào", "list": [1, None]}, {"traceparent": _TRACEPARENT}
    )
    async with trial.listening("mail", listener):
        await trial.publish([sent])
        await listener.has(1)
    assert listener.events[0] == sent


@pytest.mark.parametrize("topic", sorted(TOPICS))
async def test_what_each_topic_of_the_house_says_arrives_as_it_was_said(trial: Trial, topic: str) -> None:
    trial.topic = topic
    listener, said = Listener(), _SAID[topic]
    async with trial.listening(f"group_{new_id().hex}", listener):
        await trial.publish([Event(new_id(), topic, "key", payload_of(said))])
        async with asyncio.timeout(60):
            while not listener.events:
                await asyncio.sleep(0.02)
    assert message_of(listener.events[0]) == said


@pytest.mark.parametrize(("topic", "payload"), [("nobody's", {}), ("user_paid", {"amount": "much"})])
def test_what_is_no_event_of_a_topic_is_refused(topic: str, payload: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=topic):
        message_of(Event(new_id(), topic, "key", payload))


async def test_an_event_is_dealt_with_in_its_trace(trial: Trial) -> None:
    seen: list[str] = []

    class Tracing(Listener):
        async def handle(self, event: Event) -> None:
            seen.append(structlog.contextvars.get_contextvars()["trace_id"])
            await super().handle(event)

    listener = Tracing()
    async with trial.listening("mail", listener):
        await trial.publish([trial.event(1, traceparent=_TRACEPARENT)])
        await listener.has(1)
    assert seen == [_TRACE]


async def test_an_event_that_fails_comes_again_before_those_behind_it(trial: Trial) -> None:
    listener = Listener()
    listener.refuses = lambda event: event.payload["n"] == 1 and listener.tries < 4
    async with trial.listening("mail", listener):
        await trial.publish([trial.event(number) for number in range(4)])
        assert await listener.has(4) == [0, 1, 2, 3]
    assert listener.tries == 6


async def test_an_event_that_always_fails_becomes_a_job_and_the_next_one_has_its_turn(trial: Trial) -> None:
    poisoned, healthy = Listener(lambda event: event.payload["n"] == 1), Listener()
    async with trial.listening("mail", poisoned), trial.listening("ledger", healthy):
        sent = [trial.event(number, traceparent=_TRACEPARENT) for number in range(3)]
        await trial.publish(sent)
        assert await poisoned.has(2) == [0, 2]
        assert await healthy.has(3) == [0, 1, 2]
    assert poisoned.tries == 2 + 5
    assert list(trial.jobs.taken) == [job_of(sent[1], trial.topic, "mail")]
    assert trial.jobs.taken[0].headers == {"traceparent": _TRACEPARENT}


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_what_cannot_be_read_becomes_a_job_too(trial: Trial) -> None:
    assert trial.broker is not None
    listener = Listener()
    async with trial.listening("mail", listener):
        async with await aio_pika.connect(trial.broker.url) as connection:
            exchange = await (await connection.channel()).get_exchange(EXCHANGE)
            await exchange.publish(aio_pika.Message(b"no event"), trial.topic)
        await trial.publish([trial.event(1)])
        assert await listener.has(1) == [1]
    assert list(trial.jobs.taken) == [job_of_packed(b"no event", trial.topic, "mail")]


@_BROKERED
async def test_a_failed_event_waits_while_nobody_takes_its_job_and_so_do_those_behind_it(trial: Trial) -> None:
    poisoned = Listener(lambda event: event.payload["n"] == 1)
    trial.jobs.away = True
    async with trial.listening("mail", poisoned):
        sent = [trial.event(number) for number in range(3)]
        await trial.publish(sent)
        async with asyncio.timeout(60):
            while not trial.jobs.refused:
                await asyncio.sleep(0.02)
        assert await poisoned.has(1) == [0]
        trial.jobs.away = False
        assert await poisoned.has(2) == [0, 2]
    assert trial.jobs.taken[0] == job_of(sent[1], trial.topic, "mail")


@_BROKERED
async def test_no_event_is_at_fault_while_the_database_is_away(trial: Trial) -> None:
    class Waiting(Listener):
        async def handle(self, event: Event) -> None:
            self.tries += 1
            if self.tries <= 6:  # more often than a failure is tried
                raise StoreUnavailable
            self.events.append(event)

    listener = Waiting()
    async with trial.listening("mail", listener):
        await trial.publish([trial.event(number) for number in range(3)])
        assert await listener.has(3) == [0, 1, 2]


async def test_an_event_over_a_mebibyte_is_refused_with_its_size(trial: Trial) -> None:
    large = Event(new_id(), trial.topic, "key", {"n": 1, "text": "x" * MAX_BYTES})
    with pytest.raises(EventTooLarge, match=rf"the topic {trial.topic} has 1048\d+ bytes, and may have 1048576"):
        await trial.bus.publish([large])
    listener = Listener()
    nearly = Event(new_id(), trial.topic, "key", {"n": 2, "text": "x" * (MAX_BYTES - 1000)})
    async with trial.listening("mail", listener):
        await trial.publish([nearly])
        assert await listener.has(1) == [2]


@_BROKERED
async def test_a_broker_that_is_killed_loses_nothing_that_it_had_taken(trial: Trial) -> None:
    assert trial.broker is not None
    listener = Listener()
    async with trial.listening("mail", listener):
        await trial.publish([trial.event(number, f"key-{number % 5}") for number in range(100)])
        await trial.kept()
        trial.broker.kill()
        publishing = asyncio.create_task(
            trial.publish([trial.event(number, f"key-{number % 5}") for number in range(100, 200)])
        )
        await asyncio.to_thread(trial.broker.start)
        await publishing
        async with asyncio.timeout(90):
            while len({event.payload["n"] for event in listener.events}) < 200:
                await asyncio.sleep(0.05)
    for key in range(5):
        numbers = [event.payload["n"] for event in listener.events if event.key == f"key-{key}"]
        assert list(dict.fromkeys(numbers)) == list(range(key, 200, 5))


@_BROKERED
async def test_what_a_killed_subscriber_had_not_dealt_with_goes_to_the_next_one(
    trial: Trial, valkey: Redis, valkey_url: str
) -> None:
    assert trial.broker is not None
    command = [sys.executable, "-m", "tests.acceptance.events.subscriber", trial.broker.url, trial.topic, valkey_url]
    done = f"events:{trial.topic}"

    async def dealt_with() -> list[int]:
        return [int(number) for number in await valkey.lrange(done, 0, -1)]

    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT)
    try:
        await trial.heard("mail")
        await trial.publish([trial.event(number) for number in range(200)])
        async with asyncio.timeout(60):
            while len(await dealt_with()) < 20:
                await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        assert len(await dealt_with()) < 200
        process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT)
        async with asyncio.timeout(60):
            while len(set(await dealt_with())) < 200:
                await asyncio.sleep(0.05)
    finally:
        process.kill()
        await process.wait()
    assert list(dict.fromkeys(await dealt_with())) == list(range(200))


def test_a_bus_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownBus, match="PARLEY_EVENTS_URL"):
        open_bus("nats://127.0.0.1:4222", Subscriptions(Jobs()))
