"""Look at dead letters, mend them, let them go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from services.chassis.pagination import HEAVY_PAGE_SIZE, PageTokens
from services.operations.errors import DeadLetterNotFound, FieldNotUpdatable
from services.operations.operations.record_actions import record
from services.operations.ports import Clock, Transactions
from services.operations.rules import DeadLetter, LetterFilter, LetterState, closed, edited


@dataclass(frozen=True, slots=True)
class KeepDeadLetters:
    """The operations on dead letters. What changes one is written to the action log in the same transaction."""

    transactions: Transactions
    page_tokens: PageTokens
    clock: Clock

    async def page(self, chosen: LetterFilter, size: int, token: str) -> tuple[Sequence[DeadLetter], str]:
        """Return a page of the chosen letters, the last found first, and the token of the next one."""
        asked = self.page_tokens.asked(
            f"dead-letters/{sha256(repr(chosen).encode()).hexdigest()}", size, token, HEAVY_PAGE_SIZE
        )
        async with self.transactions.read() as tx:
            found = await tx.letters.page(chosen, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.letter_id)

    async def get(self, letter_id: UUID) -> DeadLetter:
        """Return one letter. Raises DeadLetterNotFound."""
        async with self.transactions.read() as tx:
            return _found(await tx.letters.get(letter_id), letter_id)

    async def update(self, letter_id: UUID, payload: str, etag: str, paths: Sequence[str], by: str) -> DeadLetter:
        """Change the payload of an open letter.

        Raises:
            DeadLetterNotFound, DeadLetterClosed, EtagMismatch: as they say.
            PayloadInvalid: the payload is not the text of a JSON object.
            FieldNotUpdatable: the mask names something else than the payload.
        """
        for path in paths:
            # An adapter that makes the mask of a body names the etag too, which is not a change.
            if path not in ("payload", "etag"):
                raise FieldNotUpdatable(field=path)
        return await self._change(letter_id, "update", by, lambda letter: edited(letter, payload, etag))

    async def discard(self, letter_id: UUID, by: str) -> DeadLetter:
        """Say that an open letter is not to be done any more. Raises DeadLetterNotFound, DeadLetterClosed."""
        return await self._change(
            letter_id, "discard", by, lambda letter: closed(letter, LetterState.DISCARDED, by, self.clock())
        )

    async def _change(
        self, letter_id: UUID, verb: str, by: str, change: Callable[[DeadLetter], DeadLetter]
    ) -> DeadLetter:
        async with self.transactions.begin() as tx:
            letter = _found(await tx.letters.get(letter_id, lock=True), letter_id)
            changed = change(letter)
            await tx.letters.save(changed)
            edit = {"before": letter.message.payload, "after": changed.message.payload} if verb == "update" else {}
            await record(tx, verb, "dead_letter", letter_id, by, self.clock(), edit)
        return changed


def _found(letter: DeadLetter | None, letter_id: UUID) -> DeadLetter:
    if letter is None:
        raise DeadLetterNotFound(dead_letter_id=letter_id)
    return letter
