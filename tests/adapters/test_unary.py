"""Unary calls: binding, answers, metadata, errors."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.adapters.conftest import MAX_BODY_BYTES, Face
from tests.adapters.trial import Trial


def violation(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["code"] == 3
    [detail] = body["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    [found] = detail["fieldViolations"]
    assert found["field"] in body["message"]
    return str(found["field"])


async def test_unset_fields_are_zeros_nulls_and_left_out(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/echo")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["grpc-metadata-content-type"] == "application/grpc"
    assert answer.headers["grpc-metadata-foo"] == "foo1"
    assert "grpc-metadata-raw-bin" not in answer.headers
    assert answer.text == (
        '{"text":"","small":0,"large":"0","natural":0,"great":"0","single":0,"real":0,"flag":false,"raw":"",'
        '"color":"COLOR_UNSPECIFIED","nested":null,"words":[],"many":[],"counts":{},"byNumber":{},"byFlag":{},'
        '"when":null,"span":null,"mask":null,"structure":null,"value":null,"list":null,"any":null,"wrappedText":null,'
        '"wrappedLarge":null,"wrappedFlag":null,"nothing":null,"colors":[],"reals":[],"larges":[],"ownName":""}'
    )


@pytest.mark.parametrize("trailing", [" trailing", "{}.", "]"])
async def test_only_the_first_json_value_is_read(client: httpx.AsyncClient, trailing: str) -> None:
    answer = await client.post("/v1/echo", content=' {"text":"a","unknown":{"x":[1]}}' + trailing)
    assert answer.json()["text"] == "a"


async def test_any_content_type_is_json(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/echo", content='{"own_name":"x","snake_case_name":"y"}', headers={"content-type": "text/weird"}
    )
    assert answer.json()["ownName"] == "y"


async def test_path_over_body_over_query(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/echo/t/n?nested.size=9&small=3", json={"name": "ignored", "size": 2})
    assert answer.json() == {"name": "n", "size": 2, "child": None, "extra": None, "labels": {}}
    whole = await client.post("/v1/echo?small=3", json={"text": "a"})
    assert whole.json()["small"] == 0


async def test_response_body_and_body_of_a_list(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/list", json=["a", "b"])).json() == ["a", "b"]
    assert (await client.post("/v1/list")).text == "[]"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/v1/files", "404"),
        ("/v1/files/", ""),
        ("/v1/files/a/b%2Fc", "a/b/c"),
        ("/v1/shelves/1/books/2:read", "shelves/1/books/2"),
        ("/v1/shelves/1/books/2", "404"),
    ],
)
async def test_deep_paths(client: httpx.AsyncClient, path: str, text: str) -> None:
    answer = await client.get(path)
    if path == "/v1/files":
        # grpc-gateway's `**` takes no segment at all, too.
        assert answer.json()["text"] == ""
    elif text == "404":
        assert answer.status_code == 404
    else:
        assert answer.json()["text"] == text


@pytest.mark.parametrize(("number", "expected"), [("010", 10), ("-5", -5), ("+5", 5)])
async def test_path_integers_are_decimal(client: httpx.AsyncClient, number: str, expected: int) -> None:
    assert (await client.get(f"/v1/numbers/{number}")).json()["small"] == expected


async def test_the_last_registered_route_wins(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/users/me")).json()["method"] == "GetMe"
    assert (await client.get("/v1/users/x:y")).json()["id"] == "x:y"
    assert (await client.get("/v1/late/fixed")).json()["method"] == "GetLate"


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/nope", 404, '{"code":5,"message":"Not Found","details":[]}'),
        ("GET", "/v1/users/a/", 404, '{"code":5,"message":"Not Found","details":[]}'),
        ("GET", "//v1/users/a", 404, '{"code":5,"message":"Not Found","details":[]}'),
        ("POST", "/v1/users/a", 501, '{"code":12,"message":"Method Not Allowed","details":[]}'),
        ("OPTIONS", "/v1/users/a", 501, '{"code":12,"message":"Method Not Allowed","details":[]}'),
    ],
)
async def test_routing_errors(client: httpx.AsyncClient, method: str, path: str, status: int, body: str) -> None:
    answer = await client.request(method, httpx.URL(str(client.base_url).rstrip("/") + path))
    assert (answer.status_code, answer.text) == (status, body)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "mask"),
    [
        ({"size": 1, "name": "x"}, "name,size"),
        ({"child": {"child": {"size": 1}}, "labels": {"a": "b"}}, "child.child.size,labels"),
        ({"child": {}}, "child"),
        ({"extra": {"key": {"inner": 1}, "other": 2}}, "extra.key.inner,extra.other"),
        ({}, ""),
    ],
)
async def test_patch_derives_its_mask(client: httpx.AsyncClient, body: dict[str, Any], mask: str) -> None:
    answer = (await client.patch("/v1/things/n", json=body)).json()
    assert (answer["nested"]["name"], answer["updateMask"] or "") == ("n", mask)


async def test_only_patch_derives_a_mask(client: httpx.AsyncClient) -> None:
    assert (await client.put("/v1/things/n", json={"size": 1})).json()["updateMask"] is None
    bogus = await client.patch("/v1/things/n", json={"bogus": 1})
    assert violation(bogus) == "bogus"
    assert 'could not find field "bogus" in "trial.v1.Nested"' in bogus.json()["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"small":"x"}', "small"),
        ('{"small":1.5}', "small"),
        ('{"small":2147483648}', "small"),
        ('{"natural":-1}', "natural"),
        ('{"flag":"true"}', "flag"),
        ('{"text":1}', "text"),
        ('{"text":"\\ud800"}', "text"),
        ('{"raw":"%"}', "raw"),
        ('{"color":"COLOR_GREEN"}', "color"),
        ('{"nested":{"child":{"size":"a"}}}', "nested.child.size"),
        ('{"nested":[]}', "nested"),
        ('{"words":["a",1]}', "words[1]"),
        ('{"words":[null]}', "words[0]"),
        ('{"many":[{"size":{}}]}', "many[0].size"),
        ('{"counts":{"a":"b"}}', "counts[a]"),
        ('{"byNumber":{"x":{}}}', "byNumber[x]"),
        ('{"choiceText":"a","choiceNumber":1}', "choiceNumber"),
        ('{"snake_case_name":"a","ownName":"b"}', "snake_case_name"),
        ('{"when":"yesterday"}', "when"),
        ('{"span":"1h"}', "span"),
        ('{"any":{"@type":"type.googleapis.com/no.Such"}}', "any"),
        ('{"wrappedLarge":"x"}', "wrappedLarge"),
        ('{"structure":{"a":[1e999]}}', "structure"),
        ('{"real":1e999}', "real"),
        ("{bad", ""),
        ('{"text":"a","text":"b"}', ""),
        ("[" * 100_000, ""),
        ('{"text":NaN}', ""),
        ("[]", ""),
        ("\xff", ""),
    ],
)
async def test_wrong_bodies_are_named(client: httpx.AsyncClient, body: str, field: str) -> None:
    assert violation(await client.post("/v1/echo", content=body.encode("latin-1"))) == field


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("small=abc", "small"),
        ("small=0x10", "small"),
        ("small=1&small=2", "small"),
        ("nested.name.x=1", "nested.name.x"),
        ("color=COLOR_GREEN", "color"),
        ("color=7", "color"),
        ("flag=yes", "flag"),
        ("when=now", "when"),
        ("many=1", "many"),
        ("choiceText=a&choiceNumber=1", "choiceNumber"),
        ("a;b=1", "a;b"),
        ("text=%zz", "text"),
        ("text=%ff", "text"),
        ("nested.labels[a]=1&nested.labels[a]=2", "nested.labels"),
    ],
)
async def test_wrong_queries_are_named(client: httpx.AsyncClient, query: str, field: str) -> None:
    assert violation(await client.get(f"/v1/echo?{query}")) == field


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("text=a+b%26c&unknown=1", {"text": "a b&c"}),
        ("text", {"text": ""}),
        (
            "own_name=a&nested.zzz=2",
            {"ownName": "", "nested": {"name": "", "size": 0, "child": None, "extra": None, "labels": {}}},
        ),
        ("ownName=a&words=a,b&words=c", {"ownName": "a", "words": ["a,b", "c"]}),
        ("nested.child.name=x&nested.labels[k]=v", None),
        ("counts[a]=1&counts[b]=2", {"counts": {"a": "1", "b": "2"}}),
        ("when=2026-01-31T12:00:00Z&span=1h30m", {"when": "2026-01-31T12:00:00Z", "span": "5400s"}),
        ("mask=a.b,c_d", {"mask": "a.b,cD"}),
        ("wrappedLarge=7&maybe=", {"wrappedLarge": "7", "maybe": ""}),
        ("color=-2&flag=T&raw=AQI%3D", {"color": "COLOR_BLUE", "flag": True, "raw": "AQI="}),
        ("value=%5B1%5D", {"value": [1]}),
    ],
)
async def test_query_values(client: httpx.AsyncClient, query: str, expected: dict[str, Any] | None) -> None:
    answer = await client.get(f"/v1/echo?{query}")
    assert answer.status_code == 200, answer.text
    if expected is None:
        assert answer.json()["nested"]["child"]["name"] == "x"
        assert answer.json()["nested"]["labels"] == {"k": "v"}
    else:
        assert answer.json() | expected == answer.json()


async def test_headers_become_metadata(client: httpx.AsyncClient) -> None:
    headers = {
        "Authorization": "Bearer t",
        "Grpc-Metadata-Foo": "bar",
        "Grpc-Metadata-Raw-Bin": "AQI",
        "Grpc-Metadata-Grpc-Timeout": "1S",
        "X-Custom": "dropped",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b",
        "X-Request-Id": "abc-1",
        "X-Forwarded-For": "10.0.0.1",
        "Accept-Language": "vi",
    }
    answer = await client.get("/v1/users/a", headers=headers)
    metadata = answer.json()["metadata"]
    assert metadata["authorization"] == metadata["grpcgateway-authorization"] == "Bearer t"
    assert metadata["foo"] == "bar"
    assert metadata["raw-bin"] == str(b"\x01\x02")
    assert metadata["grpcgateway-accept-language"] == "vi"
    assert metadata["tracestate"] == "a=b"
    assert metadata["traceparent"].startswith("00-0af7")
    assert metadata["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
    assert metadata["x-forwarded-host"] == client.base_url.netloc.decode()
    assert metadata["x-request-id"] == answer.headers["x-request-id"] == "abc-1"
    assert "x-custom" not in metadata
    assert metadata["remaining"] == "30"


@pytest.mark.parametrize(
    "given",
    [
        [],
        [("traceparent", "00-junk-01")],
        [("traceparent", f"00-{'0' * 32}-b7ad6b7169203331-01")],
        [("traceparent", f"00-{n * 32}-b7ad6b7169203331-01") for n in "ab"],
    ],
)
async def test_a_trace_that_is_named_after_the_request_begins(
    client: httpx.AsyncClient, given: list[tuple[str, str]]
) -> None:
    request_id = "772d5a4a-d731-4afa-952e-ca292b545f6f"
    headers = [("x-request-id", request_id), ("tracestate", "a=b"), *given]
    metadata = (await client.get("/v1/users/a", headers=headers)).json()["metadata"]
    version, trace_id, parent_id, flags = metadata["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", request_id.replace("-", ""), "00")
    assert len(parent_id) == 16
    assert "tracestate" not in metadata
    other = (await client.get("/v1/users/a", headers={"x-request-id": "abc-1"})).json()["metadata"]
    assert len(other["traceparent"]) == 55


async def test_a_request_id_is_made_when_none_is_given(client: httpx.AsyncClient) -> None:
    for given in ({}, {"x-request-id": "not safe"}):
        answer = await client.get("/v1/users/a", headers=given)
        assert answer.json()["metadata"]["x-request-id"] == answer.headers["x-request-id"]
        assert len(answer.headers["x-request-id"]) == 32
    assert (await client.get("/nope")).headers["x-request-id"]


async def test_an_idempotency_key_is_the_request_id(client: httpx.AsyncClient) -> None:
    for query, expected in (("", "key-1"), ("?request_id=own", "own")):
        answer = await client.get(f"/v1/users/a{query}", headers={"Idempotency-Key": '"key-1"'})
        assert answer.json()["metadata"]["request-id-field"] == expected


async def test_deadlines(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/users/a", headers={"Grpc-Timeout": "90S"})
    assert answer.json()["metadata"]["remaining"] == "90"
    late = await client.get("/v1/wait", headers={"Grpc-Timeout": "50m"})
    assert (late.status_code, late.json()["code"]) == (504, 4)
    assert violation(await client.get("/v1/users/a", headers={"Grpc-Timeout": "soon"})) == "grpc-timeout"


async def test_a_bad_binary_header_is_named(client: httpx.AsyncClient) -> None:
    assert (
        violation(await client.get("/v1/users/a", headers={"Grpc-Metadata-Foo-Bin": "!!"})) == "Grpc-Metadata-foo-bin"
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (1, 499),
        (2, 500),
        (3, 400),
        (4, 504),
        (5, 404),
        (6, 409),
        (7, 403),
        (8, 429),
        (9, 400),
        (10, 409),
        (11, 400),
        (12, 501),
        (13, 500),
        (14, 503),
        (15, 500),
        (16, 401),
    ],
)
async def test_the_code_table(client: httpx.AsyncClient, code: int, status: int) -> None:
    answer = await client.get("/v1/fail", params={"code": code, "message": "why"})
    assert answer.status_code == status
    assert answer.text == f'{{"code":{code},"message":"why","details":[]}}'
    assert answer.headers.get("www-authenticate") == ("why" if code == 16 else None)


async def test_error_details_are_any_json(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/fail?code=2&message=with+details&withDetails=true")
    assert answer.json() == {
        "code": 2,
        "message": "with details",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.DebugInfo",
                "stackEntries": ["foo:1"],
                "detail": "error debug details",
            },
            {"@type": "type.googleapis.com/trial.v1.UserRequest", "id": "own", "requestId": ""},
        ],
    }


async def test_http_body_is_raw(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/download")
    assert (answer.headers["content-type"], answer.content) == ("text/html", b"<p>Hello")


async def test_large_bodies_are_refused(client: httpx.AsyncClient) -> None:
    just_right = json.dumps({"text": "a" * (MAX_BODY_BYTES - 100)})
    assert (await client.post("/v1/echo", content=just_right)).status_code == 200

    async def chunks() -> Any:
        for _ in range(20):
            yield b"x" * (MAX_BODY_BYTES // 10)

    for content in (b"x" * (MAX_BODY_BYTES + 1), chunks()):
        answer = await client.post("/v1/echo", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, 8)
        assert str(MAX_BODY_BYTES) in answer.json()["message"]


async def test_a_client_that_leaves_cancels_its_call(face: Face, trial: Trial) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", face.port)
    writer.write(b"GET /v1/wait HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.wait_for(trial.waiting.wait(), 5)
    writer.close()
    await asyncio.wait_for(trial.cancelled.wait(), 1)
