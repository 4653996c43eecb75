"""Who listens to which events, and what becomes of an event that a group cannot deal with.

It is tried five times in its turn. Then it is a job of the queue `failed_events.<topic>.<group>`, and the next event
has its turn; the job is tried for three minutes more, and is a dead letter like any other at last: an operator sees it,
mends it and sends it back, to this group alone.
"""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping
from uuid import NAMESPACE_OID, UUID, uuid5

import dramatiq
from google.protobuf.message import DecodeError

from services.chassis import logs, tracebacks, tracing
from services.chassis.errors import StoreUnavailable
from services.chassis.events.bus import Handler
from services.chassis.events.cloud_events import unpack
from services.chassis.jobs import MAX_RETRIES, JobPublisher
from services.chassis.outbox import Event

_PAUSES_SECONDS = (0.05, 0.2, 1.0, 3.0)
_AWAY_SECONDS = 1.0
_log = logs.get(__name__)


class Subscriptions:
    """The handlers of a process. Its buses deal with their events through it, and a worker with those that failed."""

    def __init__(self, publisher: JobPublisher) -> None:
        self._publisher = publisher
        self._handlers: dict[tuple[str, str], Handler] = {}

    def add(self, topic: str, group: str, handler: Handler) -> None:
        """Have `handler` deal with the events of a topic for a group."""
        self._handlers[topic, group] = handler

    async def deal(self, event: Event, topic: str, group: str) -> None:
        """Let a group's handler deal with an event, within the event's trace, or leave it to a job."""
        if not await self._dealt_with(event, topic, group):
            await self._leave(job_of(event, topic, group))

    async def deal_packed(self, packed: bytes, topic: str, group: str) -> None:
        """Do as `deal` does, with an event as brokers carry it; one that cannot be read is left to a job too."""
        try:
            event = unpack(packed)
        except (DecodeError, ValueError) as error:
            _log.error("event cannot be read", topic=topic, group=group, cause=tracebacks.told(error))
            await self._leave(job_of_packed(packed, topic, group))
        else:
            await self.deal(event, topic, group)

    @property
    def groups(self) -> frozenset[tuple[str, str]]:
        """The topics and the groups that listen to them."""
        return frozenset(self._handlers)

    def register(self, broker: dramatiq.Broker) -> None:
        """Declare the actors of this process's groups on a worker's broker."""
        for (topic, group), handler in self._handlers.items():
            name = queue_of_failed(topic, group)
            dramatiq.actor(actor_name=name, queue_name=name, broker=broker, retry_when=_may_pass)(
                _doing(topic, handler)
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._publisher.close()

    async def _dealt_with(self, event: Event, topic: str, group: str) -> bool:
        """Try five times, and for as long as PostgreSQL is away; False when it failed each time."""
        handler, pauses = self._handlers[topic, group], iter(_PAUSES_SECONDS)
        with tracing.continued(event.headers):
            while True:
                try:
                    await handler(event)
                except StoreUnavailable as error:
                    _say(event, group, error, _AWAY_SECONDS)
                    await asyncio.sleep(_AWAY_SECONDS)
                except Exception as error:
                    pause = next(pauses, None)
                    _say(event, group, error, pause)
                    if pause is None:
                        return False
                    await asyncio.sleep(pause)
                else:
                    return True

    async def _leave(self, job: Event) -> None:
        """Hand a job over, however long its broker is away: the event is not done before, and those behind it wait."""
        while True:
            try:
                return await self._publisher.publish([job])
            except Exception as error:
                _log.warning(
                    "failed event waits for the broker", cause=tracebacks.told(error), pause_seconds=_AWAY_SECONDS
                )
                await asyncio.sleep(_AWAY_SECONDS)


def queue_of_failed(topic: str, group: str) -> str:
    """Return the queue of what a group could not deal with: those workers take from it that have its handler."""
    return f"failed_events.{topic}.{group}"


def job_of(event: Event, topic: str, group: str) -> Event:
    """Return the job that deals with an event for a group; the same one, however often it is asked for."""
    payload: dict[str, object] = {
        "topic": topic,
        "group": group,
        "event_id": str(event.event_id),
        "key": event.key,
        "payload": event.payload,
    }
    job_id = uuid5(event.event_id, f"{topic}/{group}")
    return Event(job_id, queue_of_failed(topic, group), event.key, payload, event.headers)


def job_of_packed(packed: bytes, topic: str, group: str) -> Event:
    """Do as `job_of` does, with an event as brokers carry it; one that cannot be read goes into the job as it is."""
    try:
        return job_of(unpack(packed), topic, group)
    except (DecodeError, ValueError):
        payload: dict[str, object] = {"topic": topic, "group": group, "packed": b64encode(packed).decode()}
        job_id = uuid5(NAMESPACE_OID, f"{topic}/{group}/{payload['packed']}")
        return Event(job_id, queue_of_failed(topic, group), "", payload)


def _doing(topic: str, handler: Handler) -> Callable[..., Awaitable[None]]:
    async def deal_again(
        event_id: str = "", key: str = "", payload: Mapping[str, object] | None = None, packed: str = "", **_about: str
    ) -> None:
        if packed:
            event = unpack(b64decode(packed, validate=True))
        else:
            event = Event(UUID(event_id), topic, key, dict(payload or {}), tracing.headers())
        await handler(event)

    return deal_again


def _may_pass(retries: int, error: BaseException) -> bool:
    # An event that says nothing to its handler says nothing later either. It is tried twice all the same: Valkey keeps
    # a message as it was when it was sent, and a retry is sent with what the try before it failed of.
    return retries < (1 if isinstance(error, ValueError | DecodeError) else MAX_RETRIES)


def _say(event: Event, group: str, error: Exception, pause: float | None) -> None:
    said = {"topic": event.topic, "group": group, "event_id": str(event.event_id), "pause_seconds": pause}
    if isinstance(error, StoreUnavailable):
        _log.warning("event waits for the database", **said)
    else:
        _log.error("event failed", exc_info=error, **said)
