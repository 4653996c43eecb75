"""The bus of a house in one process: events go straight to its subscribers, before they leave the outbox."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from services.chassis.events.bus import Handler
from services.chassis.events.cloud_events import pack
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.outbox import Event


class InProcessBus:
    """Implements EventBus. An event is published once every group has dealt with it, or a job will."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._groups: dict[str, set[str]] = defaultdict(set)

    async def publish(self, events: Sequence[Event]) -> None:
        """See EventBus."""
        for event in events:
            pack(event)  # the same limits as with a broker
        groups = [(topic, group) for topic in {event.topic for event in events} for group in self._groups[topic]]
        await asyncio.gather(*[self._deal(events, *group) for group in groups])

    async def _deal(self, events: Sequence[Event], topic: str, group: str) -> None:
        for event in events:
            if event.topic == topic:
                await self._subscriptions.deal(event, topic, group)

    def subscribe(self, topic: str, group: str, handler: Handler) -> Callable[[], Awaitable[None]]:
        """See EventBus."""
        self._subscriptions.add(topic, group, handler)
        self._groups[topic].add(group)

        async def listen() -> None:
            await asyncio.Event().wait()

        return listen

    async def close(self) -> None:
        """See EventBus."""
        self._groups.clear()
