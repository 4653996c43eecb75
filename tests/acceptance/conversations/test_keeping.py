"""Conversations and messages are kept for their owner, page by page, and retries are safe."""

import asyncio
from dataclasses import replace

import pytest

from services.chassis.errors import InvalidFields
from services.chassis.identifiers import new_id
from services.conversations.errors import ConversationNotFound, FieldNotUpdatable, RequestIdReused
from services.conversations.rules import Context
from tests.support.house import House


async def test_pages_hold_every_conversation_once_the_newest_first(house: House, owner: str) -> None:
    made = [(await house.conversations.create(owner, f"c{n}", Context(), None)).conversation_id for n in range(7)]
    seen, token = [], ""
    while True:
        page, token = await house.conversations.page(owner, 3, token)
        seen += [one.conversation_id for one in page]
        if not token:
            break
    assert seen == made[::-1]


async def test_a_page_token_of_another_list_is_refused(house: House, owner: str) -> None:
    for _ in range(2):
        await house.conversations.create(owner, "", Context(), None)
    _, token = await house.conversations.page(owner, 1, "")
    for wrong in (token + "x", "garbage", "ünïcode"):
        with pytest.raises(InvalidFields, match="page_token"):
            await house.conversations.page(owner, 1, wrong)
    with pytest.raises(InvalidFields, match="page_token"):
        await house.conversations.page(str(new_id()), 1, token)


async def test_messages_are_paged_in_their_order(house: House, owner: str) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    for n in range(5):
        await house.messages.send(owner, conversation.conversation_id, f"m{n}", None)
    first, token = await house.messages.page(owner, conversation.conversation_id, 3, "")
    rest, end = await house.messages.page(owner, conversation.conversation_id, 3, token)
    assert [one.text for one in [*first, *rest]] == [f"m{n}" for n in range(5)]
    assert end == ""


async def test_a_hundred_retries_make_one_message(house: House, owner: str) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    request_id = new_id()
    answers = await asyncio.gather(
        *[house.messages.send(owner, conversation.conversation_id, "once", request_id) for _ in range(100)]
    )
    assert len({(message.message_id, run.run_id) for message, run in answers}) == 1
    assert (await house.conversations.get(owner, conversation.conversation_id)).message_count == 1
    with pytest.raises(RequestIdReused):
        await house.messages.send(owner, conversation.conversation_id, "another text", request_id)


async def test_retries_of_creation_make_one_conversation(house: House, owner: str) -> None:
    request_id = new_id()
    made = await asyncio.gather(*[house.conversations.create(owner, "t", Context(), request_id) for _ in range(10)])
    assert len({one.conversation_id for one in made}) == 1
    with pytest.raises(RequestIdReused):
        await house.conversations.create(owner, "another title", Context(), request_id)


async def test_messages_sent_at_once_are_numbered_without_gaps(house: House, owner: str) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    sent = await asyncio.gather(
        *[house.messages.send(owner, conversation.conversation_id, f"m{n}", None) for n in range(20)]
    )
    assert sorted(message.sequence for message, _ in sent) == list(range(1, 21))


async def test_a_strangers_conversation_is_not_found(house: House, owner: str) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    conversation_id, stranger = conversation.conversation_id, str(new_id())
    for attempt in (
        house.conversations.get(stranger, conversation_id),
        house.conversations.update(stranger, replace(conversation, title="mine"), ["title"]),
        house.conversations.delete(stranger, conversation_id),
        house.messages.send(stranger, conversation_id, "hi", None),
        house.messages.page(stranger, conversation_id, 0, ""),
        house.chat.session(stranger, conversation_id),
        house.chat.ask(stranger, "hi", conversation_id, Context(), None),
    ):
        with pytest.raises(ConversationNotFound):
            await attempt
    assert (await house.conversations.get(owner, conversation_id)).title == ""


async def test_the_mask_decides_what_changes(house: House, owner: str) -> None:
    made = await house.conversations.create(owner, "old", Context(topic="t", user_level="a1"), None)
    wanted = replace(made, title="new", context=Context(topic="", user_level="b2"))
    assert (await house.conversations.update(owner, wanted, ["title"])).context == made.context
    assert (await house.conversations.update(owner, wanted, [])).context == Context(topic="t", user_level="b2")
    assert (await house.conversations.update(owner, wanted, ["context.topic"])).context.topic == ""
    with pytest.raises(FieldNotUpdatable, match="message_count"):
        await house.conversations.update(owner, wanted, ["message_count"])


async def test_blank_messages_are_refused(house: House, owner: str) -> None:
    conversation = await house.conversations.create(owner, "", Context(), None)
    with pytest.raises(InvalidFields, match="text"):
        await house.messages.send(owner, conversation.conversation_id, " \n ", None)


async def test_chat_answers_in_one_call_and_keeps_the_session(house: House, owner: str) -> None:
    async def work() -> None:
        while True:
            page, _ = await house.conversations.page(owner, 10, "")
            for one in page:
                await house.answers.answer(one.conversation_id)
            await asyncio.sleep(0.01)

    working = asyncio.create_task(work())
    try:
        session_id, message, seconds = await house.chat.ask(owner, "hi", None, Context(user_level="a1"), None)
        again, _, _ = await house.chat.ask(owner, "more", session_id, Context(target_language="vi"), None)
    finally:
        working.cancel()
    assert again == session_id
    assert message.text == "You said: hi"
    assert 0 < seconds < 20
    conversation, messages = await house.chat.session(owner, session_id)
    assert conversation.context == Context(user_level="a1", target_language="vi")
    assert [one.text for one in messages] == ["hi", "You said: hi", "more", "You said: more"]
