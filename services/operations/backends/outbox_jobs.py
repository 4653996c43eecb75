"""Jobs that leave through the outbox as whole Dramatiq messages."""

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import dramatiq
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.outbox import Event, Outbox
from services.operations.backends.failed_messages import EVENT_ID
from services.operations.rules import Job

_MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class OutboxJobs:
    """Implements the port Jobs on one connection."""

    connection: AsyncConnection
    outbox: Outbox

    async def send(self, job: Job) -> None:
        """See the port."""
        message = {
            "queue_name": job.queue,
            "actor_name": job.actor,
            "args": list(job.arguments),
            "kwargs": dict(job.payload),
            "options": dict(job.options),
            "message_id": job.message_id,
        }
        # As text: JSONB takes neither every character nor every number that a message may hold.
        await self.outbox.add(self.connection, job.queue, job.message_id, {_MESSAGE: json.dumps(message)})


class MessagePublisher:
    """Hands the messages in outbox events to the broker."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self._broker = broker
        # One thread: the broker's client blocks, and events of a key stay in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publish")

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand the events to the broker in their order. Raises when it has not taken all of them."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._enqueue, events)

    def _enqueue(self, events: Sequence[Event]) -> None:
        for event in events:
            values = json.loads(str(event.payload[_MESSAGE]))
            # The trace that the message had goes on; a job that begins one has that of its event.
            options = {**event.headers, **values.pop("options"), EVENT_ID: str(event.event_id)}
            self._broker.declare_queue(event.topic)
            self._broker.enqueue(dramatiq.Message(**values | {"args": tuple(values["args"]), "options": options}))

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._thread.shutdown)
        self._broker.close()
