"""The background work of this service."""

import asyncio
from collections import Counter, OrderedDict
from contextvars import Context, copy_context
from uuid import UUID

import dramatiq

from services.chassis import logs
from services.conversations.operations.answer_messages import AnswerMessages
from services.conversations.rules import may_take_slot

QUEUE = "incoming"
_log = logs.get(__name__)
_DRAIN_SECONDS = 5.0
_PAUSES_SECONDS = (0.2, 1.0, 3.0)
# Conversations of one tenant that wait in one worker; their ids take some 20 MB.
_MOST_WAITING = 100_000


class Answering:
    """Answers many conversations beside each other on the worker's loop, and each tenant's in its turn.

    The job only takes a conversation up: from then on its lease in PostgreSQL, not the broker, says that it is worked
    on, and a worker that dies is missed when the lease runs out. So a thread of Dramatiq is held for a moment only,
    however long the model speaks, and nudges never wait in the broker behind those of a busy tenant.
    """

    def __init__(self, answers: AnswerMessages, at_once: int) -> None:
        self._answers = answers
        self._free = at_once
        self._held: Counter[str] = Counter()
        # Tenants in the order of their turns, each with the conversations that wait.
        self._waiting: OrderedDict[str, OrderedDict[UUID, Context]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def register(self, broker: dramatiq.Broker) -> None:
        """Declare this service's actors on the broker of a worker that runs on this loop."""
        loop = asyncio.get_running_loop()

        def incoming(conversation_id: str, tenant: str = "") -> None:
            # Does not wait for the loop, and takes the trace along: a busy loop keeps no nudge of others back.
            loop.call_soon_threadsafe(self.take_up, UUID(conversation_id), tenant)

        dramatiq.actor(actor_name=QUEUE, queue_name=QUEUE, broker=broker, deadly=False)(incoming)

    def take_up(self, conversation_id: UUID, tenant: str) -> None:
        """Begin to answer what waits in a conversation, now or when its tenant has its turn."""
        waiting = self._waiting.setdefault(tenant, OrderedDict())
        waiting[conversation_id] = copy_context()  # with the trace of whoever asked
        if len(waiting) > _MOST_WAITING:
            # Whoever finds the conversation stranded nudges again.
            waiting.popitem()
        self._begin_turns()

    def _begin_turns(self) -> None:
        """Give free slots to the tenants in turn, none more than its share."""
        passed = 0
        while self._waiting and passed < len(self._waiting):
            tenant, waiting = next(iter(self._waiting.items()))
            self._waiting.move_to_end(tenant)
            if not may_take_slot(self._held[tenant], self._free):
                passed += 1
                continue
            passed = 0
            conversation_id, context = waiting.popitem(last=False)
            if not waiting:
                del self._waiting[tenant]
            self._free -= 1
            self._held[tenant] += 1
            task = asyncio.create_task(self._answer(conversation_id, tenant), context=context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, conversation_id: UUID, tenant: str) -> None:
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
            self._free += 1
            self._held[tenant] -= 1
            if not self._held[tenant]:
                del self._held[tenant]
            self._begin_turns()

    async def close(self) -> None:
        """Let running answers end for at most 5 s, then break the rest off: another worker takes them up."""
        self._waiting.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
