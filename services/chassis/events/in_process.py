"""The bus of a house in one process: events go straight to its subscribers, before they leave the outbox."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence

from services.chassis import logs
from services.chassis.events.bus import Handler, deal_with
from services.chassis.events.cloud_events import pack
from services.chassis.outbox import Event

_KEPT_DEAD = 1000
_log = logs.get(__name__)


class InProcessBus:
    """Implements EventBus. An event is published once every group has dealt with it.

    Dead letters are logged with all that they say, and the last thousand kept until the process ends.
    """

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, Handler]] = defaultdict(dict)
        self.dead: deque[tuple[str, Event]] = deque(maxlen=_KEPT_DEAD)

    async def publish(self, events: Sequence[Event]) -> None:
        """See EventBus."""
        for event in events:
            pack(event)  # the same limits as with a broker
        topics = {event.topic for event in events}
        groups = [(topic, group, handler) for topic in topics for group, handler in self._groups[topic].items()]
        await asyncio.gather(*[self._deal(events, *group) for group in groups])

    async def _deal(self, events: Sequence[Event], topic: str, group: str, handler: Handler) -> None:
        for event in events:
            if event.topic == topic and await deal_with(event, group, handler):
                self.dead.append((group, event))
                _log.error(
                    "dead letter",
                    topic=topic,
                    group=group,
                    event_id=str(event.event_id),
                    key=event.key,
                    payload=event.payload,
                )

    def subscribe(self, topic: str, group: str, handler: Handler) -> Callable[[], Awaitable[None]]:
        """See EventBus."""
        self._groups[topic][group] = handler

        async def listen() -> None:
            await asyncio.Event().wait()

        return listen

    async def close(self) -> None:
        """See EventBus."""
        self._groups.clear()
