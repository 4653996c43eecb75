"""The background work of this service."""

import asyncio
from uuid import UUID

import dramatiq

from services.chassis import logs
from services.conversations.operations.answer_messages import AnswerMessages

QUEUE = "incoming"
_log = logs.get(__name__)
_DRAIN_SECONDS = 5.0
_PAUSES_SECONDS = (0.2, 1.0, 3.0)


class Answering:
    """Answers many conversations beside each other on the worker's loop.

    The job only takes a conversation up: from then on its lease in PostgreSQL, not the broker, says that it is worked
    on, and a worker that dies is missed when the lease runs out. So a thread of Dramatiq is held for a moment only,
    however long the model speaks.
    """

    def __init__(self, answers: AnswerMessages, at_once: int) -> None:
        self._answers = answers
        self._slots = asyncio.Semaphore(at_once)
        self._tasks: set[asyncio.Task[None]] = set()

    def register(self, broker: dramatiq.Broker) -> None:
        """Declare this service's actors on a worker's broker."""

        async def incoming(conversation_id: str) -> None:
            await self.take_up(UUID(conversation_id))

        dramatiq.actor(actor_name=QUEUE, queue_name=QUEUE, broker=broker)(incoming)

    async def take_up(self, conversation_id: UUID) -> None:
        """Begin to answer what waits in a conversation; waits itself while too many are being answered."""
        await self._slots.acquire()
        task = asyncio.create_task(self._answer(conversation_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, conversation_id: UUID) -> None:
        try:
            for pause in _PAUSES_SECONDS:
                try:
                    await self._answers.answer(conversation_id)
                    return
                except Exception:
                    # A store was away for a moment, and its connections are dead. The lease is free again.
                    _log.exception("answering failed", conversation_id=str(conversation_id), pause_seconds=pause)
                    await asyncio.sleep(pause)
            # Whoever finds the conversation stranded takes it up anew.
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Let running answers end for at most 5 s, then break the rest off: another worker takes them up."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
