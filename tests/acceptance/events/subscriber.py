"""A subscriber in a process of its own: `python -m tests.acceptance.events.subscriber BUS TOPIC NOTES`."""

import asyncio
import sys

from redis.asyncio import Redis

from services.chassis.events.opening import open_bus
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.jobs import publisher_to
from services.chassis.outbox import Event
from services.chassis.supervision import keep_running


async def main(url: str, topic: str, notes_url: str) -> None:
    """Note every event, until killed."""
    notes = Redis.from_url(notes_url)

    async def handle(event: Event) -> None:
        await asyncio.sleep(0.01)
        await notes.rpush(f"events:{topic}", str(event.payload["n"]))

    await keep_running(
        "subscriber", open_bus(url, Subscriptions(publisher_to(notes_url))).subscribe(topic, "mail", handle)
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
