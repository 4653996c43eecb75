"""Clients that do not stream say something and get the whole answer; a session is a conversation."""

from uuid import uuid4

from tests.support.callers import Person, refusal

CHAT = "/api/v1/ai/chat"
SESSIONS = "/api/v1/ai/chat/sessions"


async def test_chat_answers_with_the_session_and_the_duration(ada: Person) -> None:
    answer = await ada.post(CHAT, message="Xin chào", userLevel="beginner", targetLanguage="en")
    assert set(answer) == {"sessionId", "message", "duration"}
    assert (answer["message"]["role"], answer["message"]["text"]) == ("assistant", "You said: Xin chào")
    assert answer["message"]["id"]
    assert 0.04 < answer["duration"] < 20
    session = await ada.get(f"{SESSIONS}/{answer['sessionId']}")
    assert set(session) == {"id", "title", "context", "messages"}
    assert (session["id"], session["title"]) == (answer["sessionId"], "Xin chào")
    assert (session["context"]["userLevel"], session["context"]["targetLanguage"]) == ("beginner", "en")
    assert [message["role"] for message in session["messages"]] == ["user", "assistant"]
    assert session["messages"][1] == answer["message"]


async def test_a_session_goes_on_and_is_a_conversation(ada: Person) -> None:
    first = await ada.post(CHAT, message="one")
    second = await ada.post(CHAT, message="two", sessionId=first["sessionId"])
    assert second["sessionId"] == first["sessionId"]
    assert (second["message"]["sequence"], second["message"]["text"]) == (4, "You said: two")
    messages = await ada.get(f"/api/v1/chat/conversations/{first['sessionId']}/messages")
    assert messages["messages"] == (await ada.get(f"{SESSIONS}/{first['sessionId']}"))["messages"]


async def test_a_request_id_asks_once(ada: Person) -> None:
    session_id = (await ada.post(CHAT, message="hello"))["sessionId"]
    request_id = str(uuid4())
    first = await ada.post(CHAT, message="once", sessionId=session_id, requestId=request_id)
    again = await ada.post(CHAT, message="once", sessionId=session_id, requestId=request_id)
    assert again["message"] == first["message"]
    assert len((await ada.get(f"{SESSIONS}/{session_id}"))["messages"]) == 4


async def test_sessions_are_listed_page_by_page(ada: Person) -> None:
    assert await ada.get(SESSIONS) == {"sessions": [], "nextPageToken": ""}
    opened = [(await ada.post(CHAT, message=f"hello {number}"))["sessionId"] for number in range(3)]
    first = await ada.get(SESSIONS, pageSize=2)
    second = await ada.get(SESSIONS, pageSize=2, pageToken=first["nextPageToken"])
    assert [session["id"] for session in first["sessions"] + second["sessions"]] == opened[::-1]
    assert second["nextPageToken"] == ""
    assert all(session["messages"] == [] for session in first["sessions"])
    conversations = await ada.get("/api/v1/chat/conversations")
    assert [conversation["id"] for conversation in conversations["conversations"]] == opened[::-1]


async def test_a_session_is_deleted(ada: Person) -> None:
    session_id = (await ada.post(CHAT, message="hello"))["sessionId"]
    assert await ada.delete(f"{SESSIONS}/{session_id}") == {}
    for method in ("GET", "DELETE"):
        refusal(await ada.ask(method, f"{SESSIONS}/{session_id}"), 404, 5, reason="CONVERSATION_NOT_FOUND")
    response = await ada.ask("POST", CHAT, json={"message": "hello?", "sessionId": session_id})
    refusal(response, 404, 5, reason="CONVERSATION_NOT_FOUND")
    assert (await ada.get(SESSIONS))["sessions"] == []


async def test_chat_names_the_field_that_is_wrong(ada: Person) -> None:
    for field, fields in (
        ("message", {"message": ""}),
        ("message", {"message": "x" * 32769}),
        ("session_id", {"message": "hi", "sessionId": "nonsense"}),
        ("user_level", {"message": "hi", "userLevel": "l" * 33}),
        ("target_language", {"message": "hi", "targetLanguage": "not a tag"}),
        ("request_id", {"message": "hi", "requestId": "nonsense"}),
    ):
        refusal(await ada.ask("POST", CHAT, json=fields), 400, 3, field=field)
    for path in (f"{SESSIONS}/nonsense", f"{SESSIONS}/{'x' * 100}"):
        refusal(await ada.ask("GET", path), 400, 3, field="session_id")
    assert (await ada.get(SESSIONS))["sessions"] == []
