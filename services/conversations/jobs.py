"""The background work of this service."""

from uuid import UUID

import dramatiq

from services.conversations.operations.answer_messages import AnswerMessages

QUEUE = "incoming"


def register(broker: dramatiq.Broker, answers: AnswerMessages) -> None:
    """Declare this service's actors on a worker's broker."""

    async def incoming(conversation_id: str) -> None:
        await answers.answer(UUID(conversation_id))

    dramatiq.actor(actor_name=QUEUE, queue_name=QUEUE, broker=broker)(incoming)
