"""People open, list, change and delete conversations, and say something in them."""

from uuid import uuid4

import pytest
from parley.conversations.v1.message_service_pb2 import (
    ActivateMessageRequest,
    EditMessageRequest,
    RegenerateMessageRequest,
)
from parley.conversations.v1.message_service_pb2_grpc import MessageServiceStub

from tests.support.callers import Json, Person, eventually, refusal

CONVERSATIONS = "/api/v1/chat/conversations"
CONVERSATION_FIELDS = {
    "id",
    "title",
    "context",
    "messageCount",
    "createTime",
    "updateTime",
    "private",
    "botId",
    "applicationId",
    "promptVariables",
    "activeMessageId",
}
MESSAGE_FIELDS = {
    "id",
    "conversationId",
    "sequence",
    "role",
    "text",
    "runId",
    "toolCalls",
    "metadata",
    "createTime",
    "parentId",
}
RUN_FIELDS = {
    "id",
    "conversationId",
    "messageId",
    "state",
    "outputMessageId",
    "attempt",
    "error",
    "createTime",
    "startTime",
    "endTime",
}
CONTEXT = {"topic": "Food", "userLevel": "b1", "targetLanguage": "en", "learningGoals": ["order", "pay"]}


async def test_a_conversation_is_opened_and_read(ada: Person) -> None:
    opened = await ada.post(CONVERSATIONS, title="Lunch", context=CONTEXT)
    assert set(opened) == CONVERSATION_FIELDS
    assert (opened["title"], opened["context"], opened["messageCount"]) == ("Lunch", CONTEXT, 0)
    assert await ada.get(f"{CONVERSATIONS}/{opened['id']}") == opened


async def test_a_conversation_is_named_after_its_first_message(ada: Person) -> None:
    conversation = await ada.open_conversation()
    assert (await ada.get(conversation))["title"] == ""
    await ada.answer(conversation, "Where is the station?")
    read = await ada.get(conversation)
    assert (read["title"], read["messageCount"]) == ("Where is the station?", 2)


async def test_the_same_request_id_opens_one_conversation(ada: Person) -> None:
    request_id = str(uuid4())
    first = await ada.post(CONVERSATIONS, title="Once", requestId=request_id)
    assert await ada.post(CONVERSATIONS, title="Once", requestId=request_id) == first
    assert len((await ada.get(CONVERSATIONS))["conversations"]) == 1


async def test_conversations_are_listed_page_by_page_the_last_opened_first(ada: Person, stranger: Person) -> None:
    assert await ada.get(CONVERSATIONS) == {"conversations": [], "nextPageToken": ""}
    opened = [(await ada.post(CONVERSATIONS, title=f"Number {number}"))["id"] for number in range(5)]
    everything = await ada.get(CONVERSATIONS)
    assert [item["id"] for item in everything["conversations"]] == opened[::-1]
    assert everything["nextPageToken"] == ""
    listed: list[Json] = []
    sizes: list[int] = []
    token = ""
    while not sizes or token:
        page = await ada.get(CONVERSATIONS, pageSize=2, pageToken=token)
        assert set(page) == {"conversations", "nextPageToken"}
        listed += page["conversations"]
        sizes.append(len(page["conversations"]))
        token = page["nextPageToken"]
    assert (listed, sizes) == (everything["conversations"], [2, 2, 1])
    others = await stranger.get(CONVERSATIONS)
    assert not {item["id"] for item in others["conversations"]} & set(opened)


@pytest.mark.parametrize("mask", ["", "?updateMask=title", "?updateMask=title,context.topic"])
async def test_a_conversation_is_changed(ada: Person, mask: str) -> None:
    opened = await ada.post(CONVERSATIONS, title="Lunch", context=CONTEXT)
    wanted = {"title": "Dinner", "context": {"topic": "Wine"}}
    response = await ada.ask("PATCH", f"{CONVERSATIONS}/{opened['id']}{mask}", json=wanted)
    assert response.status_code == 200, response.text
    changed = response.json()
    topic = "Food" if mask == "?updateMask=title" else "Wine"
    expected = {"title": "Dinner", "context": CONTEXT | {"topic": topic}, "updateTime": changed["updateTime"]}
    assert changed == opened | expected
    assert changed["updateTime"] > opened["updateTime"]
    assert await ada.get(f"{CONVERSATIONS}/{opened['id']}") == changed


async def test_what_the_server_sets_in_a_conversation_cannot_be_changed(ada: Person) -> None:
    conversation = await ada.open_conversation(title="Mine")
    response = await ada.ask("PATCH", f"{conversation}?updateMask=id", json={"id": str(uuid4())})
    refusal(response, 400, 3, field="update_mask", reason="FIELD_NOT_UPDATABLE")
    refusal(await ada.ask("PATCH", conversation, json={"messageCount": 9}), 400, 3, field="update_mask")
    response = await ada.ask("PATCH", conversation, json={"title": "t" * 201})
    refusal(response, 400, 3, field="conversation.title")


async def test_a_message_is_accepted_at_once_with_its_run(ada: Person) -> None:
    opened = await ada.post(CONVERSATIONS)
    sent = await ada.post(f"{CONVERSATIONS}/{opened['id']}/messages", text=" ".join(["word"] * 40))
    assert set(sent) == {"message", "run"}
    message, run = sent["message"], sent["run"]
    assert (set(message), set(run)) == (MESSAGE_FIELDS, RUN_FIELDS)
    assert (message["role"], message["sequence"], message["conversationId"]) == ("user", 1, opened["id"])
    assert (message["runId"], run["messageId"], run["conversationId"]) == (run["id"], message["id"], opened["id"])
    # The answer takes 40 times 20 ms: it cannot have ended by now.
    assert run["state"] in ("RUN_STATE_QUEUED", "RUN_STATE_RUNNING")
    assert run["outputMessageId"] == ""


async def test_a_run_ends_with_the_stored_answer(ada: Person) -> None:
    conversation = await ada.open_conversation()
    path = await ada.say(conversation, "hello there")
    last = (await ada.hear(path))[-1]
    run = await ada.get(path)
    assert set(run) == RUN_FIELDS
    assert (run["state"], run["attempt"], run["error"]) == ("RUN_STATE_SUCCEEDED", 1, None)
    assert run["createTime"] <= run["startTime"] <= run["endTime"]
    question, answer = (await ada.get(f"{conversation}/messages"))["messages"]
    assert (question["role"], question["text"], question["metadata"]) == ("user", "hello there", None)
    assert (answer["role"], answer["text"]) == ("assistant", "You said: hello there")
    assert (answer["id"], answer["runId"], answer["sequence"]) == (run["outputMessageId"], run["id"], 2)
    assert (answer["metadata"]["model"], answer["metadata"]["finishReason"]) == ("scripted", "stop")
    assert last.data["message"] == answer


async def test_the_same_request_id_sends_one_message(ada: Person) -> None:
    conversation = await ada.open_conversation()
    request_id = str(uuid4())
    first = await ada.post(f"{conversation}/messages", text="once", requestId=request_id)
    again = await ada.post(f"{conversation}/messages", text="once", requestId=request_id)
    assert (again["message"], again["run"]["id"]) == (first["message"], first["run"]["id"])
    response = await ada.ask("POST", f"{conversation}/messages", json={"text": "twice", "requestId": request_id})
    refusal(response, 400, 3, field="request_id", reason="REQUEST_ID_REUSED")
    await ada.hear(f"{conversation}/runs/{first['run']['id']}")
    assert (await ada.get(conversation))["messageCount"] == 2


async def test_messages_are_listed_page_by_page_in_their_order(ada: Person) -> None:
    conversation = await ada.open_conversation()
    runs = [await ada.say(conversation, f"number {number}") for number in range(3)]
    for run in runs:
        assert (await ada.hear(run))[-1].kind == "completed"
    everything = await ada.get(f"{conversation}/messages")
    assert (len(everything["messages"]), everything["nextPageToken"]) == (6, "")
    assert [message["sequence"] for message in everything["messages"]] == [1, 2, 3, 4, 5, 6]
    answers = [message["text"] for message in everything["messages"] if message["role"] == "assistant"]
    assert answers == [f"You said: number {number}" for number in range(3)]
    listed: list[Json] = []
    token = ""
    while len(listed) < 6:
        page = await ada.get(f"{conversation}/messages", pageSize=4, pageToken=token)
        assert set(page) == {"messages", "nextPageToken"}
        listed += page["messages"]
        token = page["nextPageToken"]
    assert (listed, token) == (everything["messages"], "")


async def test_a_page_token_is_good_for_its_own_list_only(ada: Person) -> None:
    first, second = await ada.open_conversation(), await ada.open_conversation()
    for conversation in (first, second):
        await ada.answer(conversation, "hello")
    token = (await ada.get(f"{first}/messages", pageSize=1))["nextPageToken"]
    assert token
    for path in (f"{second}/messages", CONVERSATIONS):
        refusal(await ada.ask("GET", path, params={"pageToken": token}), 400, 3, field="page_token")
    response = await ada.ask("GET", f"{first}/messages", params={"pageToken": token[:-1] + "!"})
    refusal(response, 400, 3, field="page_token")


async def test_an_answer_is_cancelled_in_the_middle(ada: Person) -> None:
    conversation = await ada.open_conversation()
    words = [f"word{number}" for number in range(300)]
    run = await ada.say(conversation, " ".join(words))
    async with ada.listening(run, sse=True) as events:
        kinds, said = [], ""
        async for event in events:
            kinds.append(event.kind)
            said += event.delta
            if kinds.count("delta") == 5:
                cancelled = await ada.post(f"{run}:cancel")
                assert (set(cancelled), cancelled["id"]) == (RUN_FIELDS, run.rpartition("/")[2])
                assert cancelled["state"] in ("RUN_STATE_RUNNING", "RUN_STATE_CANCELLED")
    assert (kinds[0], kinds[-1], kinds.count("cancelled")) == ("started", "cancelled", 1)
    assert kinds.count("delta") < 290
    # What had been said is kept.
    kept = event.data["message"]
    assert said.startswith(kept["text"]) or kept["text"].startswith(said)
    assert kept["metadata"]["finishReason"] == "cancelled"
    assert (await ada.get(run))["state"] == "RUN_STATE_CANCELLED"
    assert (await ada.get(f"{conversation}/messages"))["messages"][-1] == kept
    # The conversation goes on, and cancelling what has ended changes nothing.
    assert await ada.answer(conversation, "still there?") == "You said: still there?"
    assert (await ada.post(f"{run}:cancel"))["state"] == "RUN_STATE_CANCELLED"


async def test_a_waiting_run_is_cancelled_before_it_begins(ada: Person) -> None:
    conversation = await ada.open_conversation()
    first = await ada.say(conversation, "word " * 100)
    second = await ada.say(conversation, "never mind")
    await ada.post(f"{second}:cancel")
    assert (await ada.hear(second))[-1].kind == "cancelled"
    await ada.post(f"{first}:cancel")
    assert (await ada.hear(first))[-1].kind == "cancelled"
    texts = [message["text"] for message in (await ada.get(f"{conversation}/messages"))["messages"]]
    assert "You said: never mind" not in texts


async def test_a_deleted_conversation_is_gone_with_everything_in_it(ada: Person) -> None:
    conversation = await ada.open_conversation(title="Short-lived")
    run = await ada.say(conversation, "word " * 200)
    assert await ada.delete(conversation) == {}
    for method, path, body in (
        ("GET", conversation, None),
        ("PATCH", conversation, {"title": "x"}),
        ("DELETE", conversation, None),
        ("GET", f"{conversation}/messages", None),
        ("POST", f"{conversation}/messages", {"text": "hello?"}),
    ):
        response = await ada.ask(method, path, json=body)
        refusal(response, 404, 5, field="conversation_id", reason="CONVERSATION_NOT_FOUND")
    for method, path in (("GET", run), ("POST", f"{run}:cancel")):
        refusal(await ada.ask(method, path), 404, 5, reason="RUN_NOT_FOUND")
    assert (await ada.ask("GET", f"{run}:stream")).status_code == 404
    assert (await ada.get(CONVERSATIONS))["conversations"] == []


async def test_a_reader_of_a_deleted_conversation_is_let_go(ada: Person) -> None:
    conversation = await ada.open_conversation()
    run = await ada.say(conversation, "word " * 200)
    async with ada.listening(run) as events:
        kinds = []
        async for event in events:
            if event.kind == "delta" and "delta" not in kinds:
                await ada.delete(conversation)
            kinds.append(event.kind)
    assert kinds[-1] == "cancelled"
    assert kinds.count("delta") < 190

    async def is_gone() -> bool:
        return (await ada.ask("GET", f"{conversation}/messages")).status_code == 404

    await eventually(is_gone, seconds=5, what="the end of the conversation")


async def test_a_conversation_branches(ada: Person) -> None:
    conversation = await ada.open_conversation()
    await ada.answer(conversation, "one")
    question, answer = (await ada.get(f"{conversation}/messages"))["messages"]
    assert (question["parentId"], answer["parentId"]) == ("", question["id"])

    again = await ada.post(f"{conversation}/messages/{answer['id']}:regenerate")
    assert (await ada.hear(f"{conversation}/runs/{again['id']}"))[-1].kind == "completed"
    edited = await ada.post(f"{conversation}/messages/{question['id']}:edit", text="eins")
    last = (await ada.hear(f"{conversation}/runs/{edited['run']['id']}"))[-1]
    assert last.data["message"]["text"] == "You said: eins"
    assert last.data["message"]["parentId"] == edited["message"]["id"]
    assert (await ada.get(conversation))["activeMessageId"] == last.data["message"]["id"]

    active = await ada.post(f"{conversation}/messages/{answer['id']}:activate")
    assert active["activeMessageId"] == answer["id"]
    assert len((await ada.get(f"{conversation}/messages"))["messages"]) == 5

    # The same by gRPC; a repeated request makes no second branch.
    stub = MessageServiceStub(ada.edge.channel)
    of = {"conversation_id": conversation.rpartition("/")[2], "request_id": str(uuid4())}
    asked = RegenerateMessageRequest(message_id=question["id"], **of)
    runs = [(await stub.RegenerateMessage(asked, metadata=ada.metadata)).run for _ in range(2)]
    assert runs[0].id == runs[1].id
    edit = EditMessageRequest(message_id=question["id"], text="uno", **of)
    edits = [(await stub.EditMessage(edit, metadata=ada.metadata)).message for _ in range(2)]
    assert edits[0] == edits[1]
    activate = ActivateMessageRequest(message_id=answer["id"], conversation_id=of["conversation_id"])
    chosen = (await stub.ActivateMessage(activate, metadata=ada.metadata)).conversation
    assert chosen.active_message_id == answer["id"]

    refusal(
        await ada.ask("POST", f"{conversation}/messages/{answer['id']}:edit", json={"text": "no"}),
        400,
        9,
        reason="MESSAGE_NOT_EDITABLE",
    )
    refusal(
        await ada.ask("POST", f"{conversation}/messages/{uuid4()}:regenerate", json={}),
        404,
        5,
        field="message_id",
        reason="MESSAGE_NOT_FOUND",
    )
