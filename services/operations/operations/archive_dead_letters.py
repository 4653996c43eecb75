"""Take what the broker gave up into the desk, before the broker forgets it."""

import asyncio
from dataclasses import dataclass

from services.chassis import logs
from services.chassis.identifiers import new_id
from services.operations.ports import DeadLetterSource, Transaction, Transactions
from services.operations.rules import DeadLetter, FailedMessage, LetterState, came_back

_log = logs.get(__name__)
_PAUSE_SECONDS = 1.0
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class ArchiveDeadLetters:
    """Stores first and lets the broker forget afterwards: a crash in between costs a second look, not a letter."""

    transactions: Transactions
    source: DeadLetterSource

    async def keep_archiving(self) -> None:
        """Look every second, for ever. Any number of processes may do so."""
        while True:
            while await self.archive() == _AT_ONCE:
                pass
            await asyncio.sleep(_PAUSE_SECONDS)

    async def archive(self) -> int:
        """Archive some of what is there and return how many messages were looked at."""
        async with self.source.taken(_AT_ONCE) as messages:
            if messages:
                # The oldest first; in one order everywhere, so that two archivers do not wait for each other.
                ordered = sorted(messages, key=lambda message: (message.failed_at, message.queue, message.message_id))
                async with self.transactions.begin() as tx:
                    new = [message for message in ordered if await _archived(tx, message)]
                for message in new:
                    _log.warning(
                        "a job failed for good", queue=message.queue, actor=message.actor, message_id=message.message_id
                    )
        return len(messages)


async def _archived(tx: Transaction, message: FailedMessage) -> bool:
    """Store one failure; False when it is known already."""
    if not await tx.letters.add_failure(message):
        return False
    letter = DeadLetter(new_id(), message, LetterState.OPEN, 1, message.failed_at, 1)
    if not await tx.letters.add(letter):
        found = await tx.letters.of_message(message.queue, message.message_id)
        assert found is not None  # noqa: S101 - letters are never deleted
        await tx.letters.save(came_back(found, message))
    return True
