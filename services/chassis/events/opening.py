"""Which bus carries the events, by the setting PARLEY_EVENTS_URL."""

from services.chassis.addresses import Url, current
from services.chassis.events.bus import EventBus
from services.chassis.events.in_process import InProcessBus
from services.chassis.events.kafka_bus import KafkaBus
from services.chassis.events.rabbitmq_bus import RabbitmqBus
from services.chassis.events.subscriptions import Subscriptions


class UnknownBus(ValueError):
    """The URL names no bus that there is."""


def open_bus(url: Url, subscriptions: Subscriptions) -> EventBus:
    """Return the bus: amqp://… for RabbitMQ, kafka://USER:PASSWORD@HOST:PORT,… for Kafka, this process when empty.

    It connects when first used.

    Raises:
        UnknownBus: the URL has another scheme.
    """
    if not current(url):
        return InProcessBus(subscriptions)
    scheme = current(url).partition("://")[0]
    if scheme in ("amqp", "amqps"):
        return RabbitmqBus(url, subscriptions)
    if scheme == "kafka":
        return KafkaBus(url, subscriptions)
    raise UnknownBus("PARLEY_EVENTS_URL must begin with amqp:// or kafka://, or be empty")
