"""What an event bus promises, whichever broker carries it.

- At least once: an event reaches each group that listens to its topic; after a crash maybe again. A handler notes the
  event in its inbox, in the transaction of its effect.
- The events of a key reach a group in the order in which they were published.
- A handler that fails is tried five times; then the event goes to the dead letters, and the next one has its turn.
  While PostgreSQL is away no event is at fault: it is tried until PostgreSQL is back.
- An event has at most 1 MiB.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from services.chassis import logs, tracing
from services.chassis.errors import StoreUnavailable
from services.chassis.outbox import Event

Handler = Callable[[Event], Awaitable[None]]
"""Deals with one event; what it raises makes the event come again."""

_PAUSES_SECONDS = (0.05, 0.2, 1.0, 3.0)
_STORE_AWAY_SECONDS = 1.0
_log = logs.get(__name__)


class EventBus(Protocol):
    """Carries events from services to groups of subscribers."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand events over, those of a key in their order. Raises when the broker has not taken all of them.

        Raises:
            EventTooLarge: an event has more than 1 MiB.
        """

    def subscribe(self, topic: str, group: str, handler: Handler) -> Callable[[], Awaitable[None]]:
        """Have `handler` deal with the events of a topic, once for each group.

        Returns what is to run beside the server for as long as it listens; it raises when the broker is lost.
        """

    async def close(self) -> None:
        """Close the connections."""


async def deal_with(event: Event, group: str, handler: Handler) -> Exception | None:
    """Let a handler deal with an event, within the event's trace, five times at most. Returns the last failure."""
    with tracing.continued(event.headers):
        pauses = iter(_PAUSES_SECONDS)
        while True:
            try:
                await handler(event)
            except StoreUnavailable as error:
                _say(event, group, error, _STORE_AWAY_SECONDS)
                await asyncio.sleep(_STORE_AWAY_SECONDS)
            except Exception as error:
                pause = next(pauses, None)
                _say(event, group, error, pause)
                if pause is None:
                    return error
                await asyncio.sleep(pause)
            else:
                return None


def _say(event: Event, group: str, error: Exception, pause: float | None) -> None:
    said = {"topic": event.topic, "group": group, "event_id": str(event.event_id), "pause_seconds": pause}
    if isinstance(error, StoreUnavailable):
        _log.warning("event waits for the database", **said)
    else:
        _log.error("event failed", exc_info=error, **said)
