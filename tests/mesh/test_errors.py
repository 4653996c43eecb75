"""Whatever is wrong with a request: one shape of error, the right status, and the field by its name."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.callers import Edge, Person, refusal

CONVERSATIONS = "/api/v1/chat/conversations"
UNKNOWN_ID = "0198b6d4-0000-7000-8000-000000000000"
KIB = 1024
MIB = 1024 * KIB


@pytest.mark.parametrize(
    "content", ["{nope", "", "[1", '{"text": "a', "\x00", '{"title": "\ud800"}'.encode("utf-8", "surrogatepass")]
)
async def test_malformed_json(ada: Person, content: str | bytes) -> None:
    conversation = await ada.open_conversation()
    response = await ada.ask("POST", f"{conversation}/messages", content=content)
    body = refusal(response, 400, 3)
    # No body at all is an empty request: then the text is missing.
    assert ("JSON" in body["message"]) is bool(content), body


@pytest.mark.parametrize("content", ["[]", "5", '"text"', "null"])
async def test_a_body_that_is_no_object(ada: Person, content: str) -> None:
    conversation = await ada.open_conversation()
    refusal(await ada.ask("POST", f"{conversation}/messages", content=content), 400, 3)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("title", {"title": 5}),
        ("title", {"title": ["a"]}),
        ("title", {"title": {"a": "b"}}),
        ("title", {"title": True}),
        ("title", {"title": "t" * 201}),
        ("title", {"title": "nul \x00"}),
        ("context", {"context": "b1"}),
        ("context.learningGoals", {"context": {"learningGoals": "one"}}),
        ("context.learningGoals[1]", {"context": {"learningGoals": ["one", 2]}}),
        ("context.learning_goals", {"context": {"learningGoals": ["g"] * 21}}),
        ("context.learning_goals[1]", {"context": {"learningGoals": ["one", "g" * 201]}}),
        ("context.target_language", {"context": {"targetLanguage": "?"}}),
        ("context.topic", {"context": {"topic": "\x00"}}),
        ("request_id", {"requestId": "nonsense"}),
    ],
)
async def test_a_wrong_value_is_named(ada: Person, field: str, fields: dict[str, object]) -> None:
    refusal(await ada.ask("POST", CONVERSATIONS, json=fields), 400, 3, field=field)
    assert (await ada.get(CONVERSATIONS))["conversations"] == []


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("page_size", {"pageSize": "-1"}),
        ("pageSize", {"pageSize": "many"}),
        ("pageSize", {"pageSize": "99999999999"}),
        ("page_token", {"pageToken": "nonsense"}),
        ("page_token", {"pageToken": "x" * 1025}),
        ("page_token", {"pageToken": "WyJhIiwiYiJd.AAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
    ],
)
@pytest.mark.parametrize("list_of", ["conversations", "messages", "sessions"])
async def test_a_wrong_page_is_named(ada: Person, list_of: str, field: str, params: dict[str, str]) -> None:
    conversation = await ada.open_conversation()
    path = {"conversations": CONVERSATIONS, "messages": f"{conversation}/messages"}.get(
        list_of, "/api/v1/ai/chat/sessions"
    )
    refusal(await ada.ask("GET", path, params=params), 400, 3, field=field)


async def test_a_large_page_is_as_large_as_it_may_be(ada: Person) -> None:
    await ada.open_conversation()
    assert len((await ada.get(CONVERSATIONS, pageSize=2_000_000_000))["conversations"]) == 1
    assert len((await ada.get(CONVERSATIONS, page_size=0))["conversations"]) == 1


async def test_a_text_is_at_most_32_kib(ada: Person) -> None:
    conversation = await ada.open_conversation()
    for text in ("x" * 32769, "ộ" * 10923, "", "a\x00b"):
        response = await ada.ask("POST", f"{conversation}/messages", json={"text": text})
        refusal(response, 400, 3, field="text")
    assert (await ada.get(conversation))["messageCount"] == 0
    run = await ada.say(conversation, "x" * 32768)
    await ada.post(f"{run}:cancel")


async def test_any_script_passes_as_it_is(ada: Person) -> None:
    conversation = await ada.open_conversation()
    for text in ("Xin chào, bạn khỏe không?", "😀👩‍👩‍👧 مرحبا \u202eabc", 'quotes " \\ / <b>&amp;', "tab\tline\nend"):
        assert (await ada.answer(conversation, text)).removeprefix("You said:").split() == text.split()
    said = [message["text"] for message in (await ada.get(f"{conversation}/messages"))["messages"]][::2]
    assert said[0] == "Xin chào, bạn khỏe không?"
    assert said[3] == "tab\tline\nend"


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("GET", "/api/v1/chat/conversations/{id}", "conversation_id"),
        ("DELETE", "/api/v1/chat/conversations/{id}", "conversation_id"),
        ("GET", "/api/v1/chat/conversations/{id}/messages", "conversation_id"),
        ("GET", f"/api/v1/chat/conversations/{{id}}/runs/{UNKNOWN_ID}", "conversation_id"),
        ("GET", f"/api/v1/chat/conversations/{UNKNOWN_ID}/runs/{{id}}", "run_id"),
        ("POST", f"/api/v1/chat/conversations/{UNKNOWN_ID}/runs/{{id}}:cancel", "run_id"),
        ("GET", "/api/v1/ai/chat/sessions/{id}", "session_id"),
        ("DELETE", "/api/v1/ai/chat/sessions/{id}", "session_id"),
    ],
)
async def test_a_malformed_id_is_named(ada: Person, method: str, path: str, field: str) -> None:
    for wrong in ("nonsense", "1", UNKNOWN_ID[:-1], f"{{{UNKNOWN_ID}}}", "' OR 1=1 --"):
        refusal(await ada.ask(method, path.replace("{id}", wrong)), 400, 3, field=field)
    assert (await ada.ask(method, path.replace("{id}", UNKNOWN_ID))).status_code == 404


async def test_unknown_fields_are_ignored_and_null_is_unset(ada: Person) -> None:
    opened = await ada.post(CONVERSATIONS, title="Kept", colour="blue", context=None)
    assert (opened["title"], opened["context"]["topic"]) == ("Kept", "")
    assert len((await ada.get(CONVERSATIONS, colour="blue"))["conversations"]) == 1


async def test_an_unknown_path_and_a_wrong_method(ada: Person) -> None:
    for path in (
        "/nothing",
        "/api",
        "/api/v1/chat/nothing",
        f"{CONVERSATIONS}/{UNKNOWN_ID}/nothing",
        "/api/v2/auth/me",
    ):
        refusal(await ada.ask("GET", path), 404, 5)
    for method, path in (
        ("DELETE", "/api/v1/auth/login"),
        ("GET", "/api/v1/auth/register"),
        ("PUT", CONVERSATIONS),
        ("POST", "/api/v1/auth/me"),
        ("POST", "/api/v1/ai/models/status"),
    ):
        refusal(await ada.ask(method, path), 501, 12)


async def test_an_unknown_path_without_a_token(edge: Edge) -> None:
    refusal(await edge.http.get("/nothing"), 404, 5)
    # Below /api nothing is told to nobody.
    refusal(await edge.http.get("/api/v1/nothing"), 401, 16)


@pytest.mark.parametrize(("path", "limit"), [("/api/v1/auth/login", 64 * KIB), (CONVERSATIONS, MIB)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_of_its_rpc(ada: Person, path: str, limit: int, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield b" " * (limit // 16)
        yield b" "

    content = chunks() if chunked else b" " * (limit + 1)
    refusal(await ada.ask("POST", path, content=content), 413, 8)
    response = await ada.ask("POST", CONVERSATIONS, content=b'{"title": "long"}' + b" " * (MIB - 100))
    assert (response.status_code, response.json()["title"]) == (200, "long")


async def test_every_answer_has_a_request_id(ada: Person, edge: Edge) -> None:
    for response in (
        await ada.ask("GET", "/api/v1/auth/me"),
        await edge.http.get("/api/v1/auth/me"),
        await ada.ask("GET", f"{CONVERSATIONS}/{UNKNOWN_ID}"),
    ):
        assert response.headers["x-request-id"]


@pytest.mark.parametrize("length", [4_000, 7_168, 20_000, 55_000])
async def test_a_long_token_is_no_token(edge: Edge, ada: Person, length: int) -> None:
    headers = {"authorization": "Bearer pk_" + "a" * length}
    # gRPC refuses metadata between its two limits by chance.
    for _ in range(3):
        refusal(await edge.http.get("/api/v1/auth/me", headers=headers), 401, 16)
    passed = await ada.ask("GET", "/api/v1/auth/me", headers={"cookie": "a=" + "b" * length})
    assert passed.status_code == 200, passed.text


async def test_many_headers_pass_or_are_refused(ada: Person) -> None:
    for count in (60, 85, 90, 150):
        extra = {f"grpc-metadata-x{number}": "a" for number in range(count)}
        response = await ada.ask("GET", "/api/v1/auth/me", headers=extra)
        assert response.status_code == (431 if count > 90 else 200), (count, response.text)


async def test_urls_and_headers_that_are_too_large(edge: Edge) -> None:
    host, _, port = edge.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    # httpx has a limit of its own.
    writer.write(
        f"GET /api/v1/ai/models/status?x={'x' * 70_000} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n".encode()
    )
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 414 ")
    assert b'{"code":8,' in answer
    response: httpx.Response = await edge.http.get("/health", headers={"x-long": "x" * 100_000})
    refusal(response, 431, 8)
