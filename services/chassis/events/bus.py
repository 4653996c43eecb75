"""What an event bus promises, whichever broker carries it.

- At least once: an event reaches each group that listens to its topic; after a crash maybe again. A handler notes the
  event in its inbox, in the transaction of its effect.
- The events of a key reach a group in the order in which they were published.
- A handler that fails is tried five times; then the event becomes a job (`subscriptions.py`), and the next one has its
  turn. While PostgreSQL is away no event is at fault: it is tried until PostgreSQL is back.
- An event has at most 1 MiB.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from services.chassis.outbox import Event

Handler = Callable[[Event], Awaitable[None]]
"""Deals with one event; what it raises makes the event come again."""


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
