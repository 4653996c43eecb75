"""The look for stranded conversations nudges those that nobody answers, and no others."""

from uuid import UUID

import pytest
from sqlalchemy import text

from services.chassis.database import Database
from services.conversations.rules import Context
from tests.support.house import House


async def _nudges(house: House, database: Database, conversation_id: UUID) -> int:
    """Look once, and return how many nudges the conversation got by that."""
    query = text("SELECT count(*) FROM conversations.outbox WHERE key = :key")
    counts = []
    for looks in (False, True):
        if looks:
            async with house.transactions.begin() as tx:
                await tx.runs.nudge_stranded(10_000)
        async with database.autocommit() as connection:
            counts.append(await connection.scalar(query, {"key": str(conversation_id)}) or 0)
    return counts[1] - counts[0]


async def _set(database: Database, conversation_id: UUID, values: str) -> None:
    async with database.transaction() as connection:
        statement = text(f"UPDATE conversations.conversation SET {values} WHERE id = :id")  # noqa: S608 - text of ours
        await connection.execute(statement, {"id": conversation_id})


async def _waiting(house: House, owner: str) -> UUID:
    conversation = await house.conversations.create(owner, "", Context(), None)
    await house.messages.send(owner, conversation.conversation_id, "hi", None)
    return conversation.conversation_id


@pytest.mark.parametrize(
    ("values", "nudges"),
    [
        ("lease_until = NULL, nudged_at = now() - interval '11 s'", 1),
        ("lease_until = NULL, nudged_at = now() - interval '9 s'", 0),
        ("lease_until = now() - interval '1 s', nudged_at = now() - interval '2 s'", 1),
        ("lease_until = now() - interval '2 s', nudged_at = now() - interval '1 s'", 0),
        ("lease_until = now() + interval '60 s', nudged_at = now() - interval '1 hour'", 0),
    ],
    ids=["lost nudge", "nudge under way", "dead worker", "dead worker, nudged since", "being answered"],
)
async def test_who_is_nudged(house: House, owner: str, database: Database, values: str, nudges: int) -> None:
    conversation_id = await _waiting(house, owner)
    await _set(database, conversation_id, values)
    assert await _nudges(house, database, conversation_id) == nudges
    assert await _nudges(house, database, conversation_id) == 0, "one nudge is on its way"


async def test_a_conversation_in_which_nothing_waits_is_left_alone(
    house: House, owner: str, database: Database
) -> None:
    conversation_id = await _waiting(house, owner)
    await house.answers.answer(conversation_id)
    await _set(database, conversation_id, "lease_until = NULL, nudged_at = now() - interval '1 hour'")
    assert await _nudges(house, database, conversation_id) == 0
