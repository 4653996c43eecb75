"""What our Kafka keeps, asked of the broker itself."""

from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from services.chassis.events.kafka_bus import client_options
from services.chassis.events.opening import open_bus
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.identifiers import new_id
from services.chassis.inbox import KEPT_DAYS
from services.chassis.outbox import MAX_BYTES, Event
from tests.acceptance.events.conftest import Jobs
from tests.support.brokers import RunningBroker, running_kafka

_DAY_MS = 24 * 3600 * 1000


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A Kafka as the launcher starts it."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


async def test_what_a_topic_keeps_is_bounded_and_gone_before_the_inbox_forgets(kafka: RunningBroker) -> None:
    bus = open_bus(kafka.url, Subscriptions(Jobs()))
    await bus.publish([Event(new_id(), "log_event", "key", {})])
    await bus.close()
    admin = AIOKafkaAdminClient(**client_options(kafka.url))
    await admin.start()
    try:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "log_event")])
    finally:
        await admin.close()
    kept = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    # A subscriber that begins anew gets all that the topic holds: none of it may be older than what it has noted.
    assert int(kept["retention.ms"]) < KEPT_DAYS * _DAY_MS
    # Whole segments are deleted: what is kept, and the one that is written to.
    assert int(kept["retention.bytes"]) + int(kept["segment.bytes"]) <= 24 * 1024 * 1024
    assert int(kept["segment.bytes"]) > int(kept["max.message.bytes"]) > MAX_BYTES


@pytest.mark.parametrize("login", ["", "parley:guess@"])
async def test_who_does_not_know_the_password_is_not_let_in(kafka: RunningBroker, login: str) -> None:
    stranger = AIOKafkaConsumer(**client_options(f"kafka://{login}{kafka.url.rpartition('@')[2]}"))
    with pytest.raises(KafkaError):
        await stranger.start()
    await stranger.stop()
