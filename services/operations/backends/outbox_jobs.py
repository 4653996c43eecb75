"""Jobs that leave through the outbox as whole Dramatiq messages."""

import json
from dataclasses import dataclass
from typing import Any

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

    async def send(self, *jobs: Job) -> None:
        """See the port."""
        await self.outbox.add_all(
            self.connection, [(job.queue, job.message_id, {_MESSAGE: _stored(job)}) for job in jobs]
        )


def _stored(job: Job) -> str:
    # As text: JSONB takes neither every character nor every number that a message may hold.
    return json.dumps(
        {
            "queue_name": job.queue,
            "actor_name": job.actor,
            "args": list(job.arguments),
            "kwargs": dict(job.payload),
            "options": dict(job.options),
            "message_id": job.message_id,
        }
    )


def job_message(event: Event) -> dramatiq.Message[Any]:
    """Return the message that an event of the outbox holds."""
    values = json.loads(str(event.payload[_MESSAGE]))
    # The trace that the message had goes on; a job that begins one has that of its event.
    options = {**event.headers, **values.pop("options"), EVENT_ID: str(event.event_id)}
    return dramatiq.Message(**values | {"args": tuple(values["args"]), "options": options})
