"""Messages make a tree: a further answer or an edited question begins a branch, and nothing is lost."""

from uuid import UUID

import pytest
from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.conversations.errors import (
    ConversationNotFound,
    MessageNotEditable,
    MessageNotFound,
    RequestIdReused,
)
from services.conversations.rules import Context, Message, RunState
from tests.support.house import House


async def _open(house: House, owner: str) -> UUID:
    return (await house.conversations.create(owner, "", Context(), None)).conversation_id


async def _all(house: House, owner: str, conversation_id: UUID) -> list[Message]:
    return list((await house.messages.page(owner, conversation_id, 0, ""))[0])


async def _active(house: House, owner: str, conversation_id: UUID) -> list[str]:
    """Return the texts of the active branch, the first one first."""
    messages = {one.message_id: one for one in await _all(house, owner, conversation_id)}
    at = (await house.conversations.get(owner, conversation_id)).active_message_id
    texts: list[str] = []
    while at is not None:
        texts.insert(0, messages[at].text)
        at = messages[at].parent_id
    return texts


async def _say(house: House, owner: str, conversation_id: UUID, said: str) -> None:
    await house.messages.send(owner, conversation_id, said, None)
    await house.answers.answer(conversation_id)


async def test_a_conversation_without_branches_is_a_line(house: House, owner: str) -> None:
    conversation_id = await _open(house, owner)
    await _say(house, owner, conversation_id, "one")
    await _say(house, owner, conversation_id, "two")
    messages = await _all(house, owner, conversation_id)
    assert [one.parent_id for one in messages] == [None, *[one.message_id for one in messages[:-1]]]
    assert await _active(house, owner, conversation_id) == ["one", "You said: one", "two", "You said: two"]


async def test_a_burst_becomes_a_line_too(house: House, owner: str) -> None:
    conversation_id = await _open(house, owner)
    for said in ("one", "two", "three"):
        await house.messages.send(owner, conversation_id, said, None)
    await house.answers.answer(conversation_id)
    line = ["one", "You said: one", "two", "You said: two", "three", "You said: three"]
    assert await _active(house, owner, conversation_id) == line


async def test_a_further_answer_begins_a_branch_and_sees_what_the_first_one_saw(house: House, owner: str) -> None:
    conversation_id = await _open(house, owner)
    await _say(house, owner, conversation_id, "one")
    await _say(house, owner, conversation_id, "two")
    messages = await _all(house, owner, conversation_id)
    house.model.script = lambda _: ["another answer"]
    run = await house.branches.regenerate(owner, conversation_id, messages[1].message_id, None)
    await house.answers.answer(conversation_id)
    assert (await house.runs.get(owner, conversation_id, run.run_id)).state is RunState.SUCCEEDED
    assert [one.text for one in house.model.prompts[2][1:]] == ["one"]
    assert await _active(house, owner, conversation_id) == ["one", "another answer"]
    assert [one.sequence for one in await _all(house, owner, conversation_id)] == [1, 2, 3, 4, 5]
    house.model.script = lambda _: ["an answer to three"]
    await _say(house, owner, conversation_id, "three")
    assert [one.text for one in house.model.prompts[3][1:]] == ["one", "another answer", "three"]


async def test_an_edited_question_begins_a_branch_and_the_old_one_stays(house: House, owner: str) -> None:
    conversation_id = await _open(house, owner)
    await _say(house, owner, conversation_id, "one")
    await _say(house, owner, conversation_id, "two")
    two = (await _all(house, owner, conversation_id))[2]
    edited, run = await house.messages.send(owner, conversation_id, "zwei", None, edits=two.message_id)
    await house.answers.answer(conversation_id)
    assert edited.parent_id == two.parent_id
    assert (await house.answered(owner, run)).state is RunState.SUCCEEDED
    assert await _active(house, owner, conversation_id) == ["one", "You said: one", "zwei", "You said: zwei"]
    await house.branches.activate(owner, conversation_id, two.message_id)
    assert await _active(house, owner, conversation_id) == ["one", "You said: one", "two", "You said: two"]
    await _say(house, owner, conversation_id, "three")
    assert (await _active(house, owner, conversation_id))[2:] == ["two", "You said: two", "three", "You said: three"]


async def test_the_first_question_can_be_edited(house: House, owner: str) -> None:
    conversation_id = await _open(house, owner)
    await _say(house, owner, conversation_id, "one")
    one = (await _all(house, owner, conversation_id))[0]
    await house.messages.send(owner, conversation_id, "eins", None, edits=one.message_id)
    await house.answers.answer(conversation_id)
    assert await _active(house, owner, conversation_id) == ["eins", "You said: eins"]


async def test_a_question_that_is_edited_while_it_waits_is_answered_on_both_branches(house: House, owner: str) -> None:
    conversation_id = await _open(house, owner)
    await house.messages.send(owner, conversation_id, "one", None)
    two, _ = await house.messages.send(owner, conversation_id, "two", None)
    await house.messages.send(owner, conversation_id, "zwei", None, edits=two.message_id)
    await house.answers.answer(conversation_id)
    assert await _active(house, owner, conversation_id) == ["one", "You said: one", "zwei", "You said: zwei"]
    await house.branches.activate(owner, conversation_id, two.message_id)
    assert await _active(house, owner, conversation_id) == ["one", "You said: one", "two", "You said: two"]


async def test_repeated_requests_make_one_branch(house: House, owner: str) -> None:
    conversation_id = await _open(house, owner)
    await _say(house, owner, conversation_id, "one")
    one, answer = await _all(house, owner, conversation_id)
    again, edit = new_id(), new_id()
    runs = [
        await house.branches.regenerate(owner, conversation_id, given, again)
        for given in (answer.message_id, one.message_id)
    ]
    assert runs[0].run_id == runs[1].run_id
    edits = [await house.messages.send(owner, conversation_id, "eins", edit, edits=one.message_id) for _ in range(2)]
    assert edits[0] == edits[1]
    with pytest.raises(RequestIdReused):
        await house.branches.regenerate(owner, conversation_id, edits[0][0].message_id, again)


async def test_what_cannot_branch_is_refused(house: House, owner: str) -> None:
    conversation_id, other = await _open(house, owner), await _open(house, owner)
    await _say(house, owner, conversation_id, "one")
    one, answer = await _all(house, owner, conversation_id)
    with pytest.raises(MessageNotEditable):
        await house.messages.send(owner, conversation_id, "no", None, edits=answer.message_id)
    stranger = str(new_id())
    for message_id in (new_id(), one.message_id):
        with pytest.raises(MessageNotFound):
            await house.branches.regenerate(owner, other, message_id, None)
        with pytest.raises(MessageNotFound):
            await house.messages.send(owner, other, "no", None, edits=message_id)
        with pytest.raises(MessageNotFound):
            await house.branches.activate(owner, other, message_id)
    with pytest.raises(MessageNotFound):
        await house.branches.regenerate(stranger, conversation_id, one.message_id, None)
    with pytest.raises(ConversationNotFound):
        await house.messages.send(stranger, conversation_id, "no", None, edits=one.message_id)
    with pytest.raises(ConversationNotFound):
        await house.branches.activate(stranger, conversation_id, one.message_id)


async def test_a_final_answer_is_told_without_saying_what_it_says(house: House, owner: str, database: Database) -> None:
    conversation_id = await _open(house, owner)
    await _say(house, owner, conversation_id, "a secret")
    async with database.transaction() as connection:
        query = text("SELECT topic, payload FROM conversations.event_outbox WHERE key = :key")
        [row] = (await connection.execute(query, {"key": str(conversation_id)})).all()
    answer = (await _all(house, owner, conversation_id))[1]
    assert row.topic == "outgoing"
    assert row.payload == {
        "owner_id": owner,
        "conversation_id": str(conversation_id),
        "message_id": str(answer.message_id),
        "run_id": str(answer.run_id),
        "sequence": 2,
    }
